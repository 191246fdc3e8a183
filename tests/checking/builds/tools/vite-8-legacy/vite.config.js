import legacy from "@vitejs/plugin-legacy";
export default { build: { outDir: "dist", assetsInlineLimit: 0 }, worker: { format: "es" }, plugins: [legacy()] };
