// What the documentation of vite-plugin-pwa says for registerType "autoUpdate".
import { registerSW } from "virtual:pwa-register";

export function register(app) {
  app.update = async () => (await navigator.serviceWorker.ready).update();
  registerSW({ immediate: true });
}
