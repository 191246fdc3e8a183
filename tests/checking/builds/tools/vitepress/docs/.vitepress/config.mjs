export default { title: "Small", vite: { build: { assetsInlineLimit: 0 } } };
