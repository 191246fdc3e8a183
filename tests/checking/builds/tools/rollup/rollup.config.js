import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { rollupPluginHTML as html } from "@web/rollup-plugin-html";
import { importMetaAssets } from "@web/rollup-plugin-import-meta-assets";

// A style sheet is a file that its module adds to the page, with the images beside it.
const css = {
  name: "css",
  load(id) {
    if (!id.endsWith(".css")) return null;
    const source = readFileSync(id, "utf8");
    for (const [, image] of source.matchAll(/url\("(.*?)"\)/g)) {
      const fileName = basename(image);
      this.emitFile({ type: "asset", fileName, source: readFileSync(join(dirname(id), image)) });
    }
    const file = this.emitFile({ type: "asset", name: basename(id), source });
    return `document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: import.meta.ROLLUP_FILE_URL_${file} }));`;
  },
};

export default {
  input: "index.html",
  plugins: [html(), css, importMetaAssets()],
  output: {
    dir: "dist",
    entryFileNames: "[name]-[hash].js",
    chunkFileNames: "[name]-[hash].js",
    assetFileNames: "[name]-[hash][extname]",
  },
};
