// Makes the builds beside this folder: npm ci && npm run make
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { VitePWA } from "vite-plugin-pwa";

const here = dirname(fileURLToPath(import.meta.url));
const VERSIONS = ["v1", "v2"];

const PASS_THROUGH = `addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
`;

// Files without a content hash in their names, as from a public/ folder.
const publicFiles = (version) => ({
  // For pages of other sites.
  "remoteEntry.js": `window.remote = "${version}";\n`,
  "data.json": JSON.stringify({ version }),
  "inner.js": `export const version = "${version}";\n`,
  "lazy.js": `export { version as inner } from "./inner.js";\nexport const version = "${version}";\n`,
  "imported.js": `self.imported = "${version}";\n`,
  "worker.js": `importScripts("/imported.js");
fetch("/data.json").then((answer) => answer.json()).then((data) => postMessage(["${version}", self.imported, data.version]));
`,
});

function app(kind, version) {
  return {
    name: "app",
    resolveId: (id) => (id === "virtual:register" ? join(here, `app/register-${kind}.js`) : undefined),
    transformIndexHtml: (html) => html.replaceAll("%VERSION%", version),
    generateBundle() {
      const files = publicFiles(version);
      if (kind === "pass-through") files["sw.js"] = PASS_THROUGH;
      for (const [fileName, source] of Object.entries(files)) this.emitFile({ type: "asset", fileName, source });
    },
  };
}

// What `ng build` does after its bundler, with "serviceWorker": "ngsw-config.json".
function addAngularWorker(directory, version) {
  const tool = join(here, "node_modules/.bin/ngsw-config");
  // The tool takes paths as relative to the working directory, absolute ones too.
  execFileSync(tool, [relative(here, directory), "ngsw-config.json", "/"], { cwd: here, stdio: "inherit" });
  copyFileSync(join(here, "node_modules/@angular/service-worker/ngsw-worker.js"), join(directory, "ngsw-worker.js"));
  const manifest = join(directory, "ngsw.json");
  const content = { ...JSON.parse(readFileSync(manifest, "utf8")), timestamp: VERSIONS.indexOf(version) + 1 };
  writeFileSync(manifest, `${JSON.stringify(content, null, 2)}\n`);
}

for (const kind of ["pwa", "angular", "pass-through"]) {
  for (const version of VERSIONS) {
    const directory = join(here, "..", kind, version);
    rmSync(directory, { recursive: true, force: true });
    await build({
      root: join(here, "app"),
      configFile: false,
      logLevel: "warn",
      define: { __VERSION__: JSON.stringify(version) },
      build: { outDir: directory, emptyOutDir: true, modulePreload: { polyfill: false } },
      // Everything else of vite-plugin-pwa has its default value.
      plugins: [app(kind, version), kind === "pwa" && VitePWA({ registerType: "autoUpdate", manifest: false })],
    });
    if (kind === "angular") addAngularWorker(directory, version);
  }
}
