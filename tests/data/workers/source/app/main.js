// The page of every build. A test reads and drives it through window.app.
import { register } from "virtual:register";

const json = async (path) => (await fetch(path)).json();

window.app = {
  version: __VERSION__,
  // A name of its own for each page load: a reload gives another one.
  load: crypto.randomUUID(),
  // A chunk whose name has a content hash.
  chunk: async () => (await import("./chunk.js")).version,
  // Files with the same name in every version: a module, the module that it imports, and data.
  lazy: async () => {
    const module = await import(/* @vite-ignore */ `/lazy.js?${Math.random()}`);
    return [module.version, module.inner];
  },
  data: async () => (await json("/data.json")).version,
  // A dedicated worker, a script that it imports, and data that it fetches.
  worker: () =>
    new Promise((resolve, reject) => {
      const worker = new Worker("/worker.js");
      worker.onmessage = (message) => resolve(message.data);
      worker.onerror = (error) => reject(new Error(error.message || "the worker failed to start"));
    }),
};
if (!location.search.includes("plain")) register(window.app);
if (parent !== window) {
  // In a frame: say to the page around it what was loaded, and reload when it asks for it.
  addEventListener("message", () => location.reload());
  const { app } = window;
  const files = [document.documentElement.dataset.version, app.version, await app.data(), ...(await app.lazy())];
  parent.postMessage({ load: app.load, files }, "*");
}
