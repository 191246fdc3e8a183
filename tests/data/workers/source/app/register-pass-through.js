export function register(app) {
  app.update = async () => (await navigator.serviceWorker.ready).update();
  navigator.serviceWorker.register("/sw.js");
}
