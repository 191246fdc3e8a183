import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// One source, three editions. The mode selects the edition's modules, its public/ folder and modes/.env.<mode>.
// Files that do not depend on the edition are byte for byte the same in all three builds.
export default defineConfig(({ mode }) => ({
  base: "/",
  envDir: here("modes"),
  publicDir: here(`public/${mode}`),
  resolve: { alias: { "#edition": here(`editions/${mode}`) } },
  build: {
    manifest: true,
    target: "es2022",
    assetsInlineLimit: 0, // every image and font is a separate request, which the example has to show
    reportCompressedSize: false,
    rolldownOptions: {
      input: {
        index: here("index.html"),
        rollout: here("src/rollout.tsx"),
        page: here("src/page.ts"),
      },
      output: {
        codeSplitting: {
          groups: [
            { name: "vendor", test: /node_modules.*\.[cm]?js$/ },
            { name: "theme", test: /(src\/styles|editions\/v\d)\/[a-z]+\.css$/ },
            { name: "lib", test: /src\/lib\// },
            { name: "panel", test: /src\/panel\// },
            { name: "journey", test: /(src\/pages\/journey\.tsx|editions\/v\d\/about\.ts)$/ },
          ],
        },
      },
    },
  },
}));
