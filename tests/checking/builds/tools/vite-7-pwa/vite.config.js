import { VitePWA } from "vite-plugin-pwa";
export default { build: { outDir: "dist", assetsInlineLimit: 0 }, worker: { format: "es" }, plugins: [VitePWA({ registerType: "autoUpdate", workbox: { sourcemap: false } })] };
