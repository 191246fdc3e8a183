import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { CssExtractRspackPlugin as CssPlugin, HtmlRspackPlugin as HtmlPlugin } from "@rspack/core";

export default {
  context: dirname(fileURLToPath(import.meta.url)),
  mode: "production",
  entry: "./src/main.js",
  output: {
    path: fileURLToPath(new URL("./dist", import.meta.url)),
    filename: "js/[name].[contenthash:8].js",
    chunkFilename: "js/[name].[contenthash:8].chunk.js",
    publicPath: "/",
    clean: true,
  },
  module: { rules: [{ test: /\.css$/, type: "javascript/auto", use: [CssPlugin.loader, "css-loader"] }] },
  plugins: [
    new HtmlPlugin({ template: "./index.html" }),
    new CssPlugin({ filename: "css/[name].[contenthash:8].css", chunkFilename: "css/[name].[contenthash:8].chunk.css" }),
  ],
};
