import { copyFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const { metafile } = await build({
  entryPoints: ["src/main.js"],
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  outdir: "dist",
  publicPath: "/",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".png": "file" },
  metafile: true,
});
// esbuild leaves new URL() and new Worker() as they are: worker and picture keep their names.
await build({ entryPoints: ["src/worker.js"], outdir: "dist", minify: true });
copyFileSync("src/picture.png", "dist/picture.png");
const [script, { cssBundle }] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === "src/main.js");
const url = (path) => path.replace("dist/", "/");
writeFileSync(
  "dist/index.html",
  `<!doctype html><link rel="stylesheet" href="${url(cssBundle)}"><script type="module" src="${url(script)}"></script>`,
);
