export default { source: { entry: { index: "./src/main.js" } }, html: { template: "./index.html" }, output: { dataUriLimit: 0 } };
