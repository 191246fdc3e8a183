// The messages of Angular's SwUpdate.checkForUpdate().
export function register(app) {
  app.update = async () => {
    const nonce = Math.floor(Math.random() * 1e7);
    const { active } = await navigator.serviceWorker.ready;
    return new Promise((resolve) => {
      navigator.serviceWorker.addEventListener("message", ({ data }) => {
        if (data.type === "OPERATION_COMPLETED" && data.nonce === nonce) resolve(data.result ?? data.error);
      });
      active.postMessage({ action: "CHECK_FOR_UPDATES", nonce });
    });
  };
  navigator.serviceWorker.register("/ngsw-worker.js");
}
