export default { build: { outDir: "dist", assetsInlineLimit: 0 }, worker: { format: "es" } };
