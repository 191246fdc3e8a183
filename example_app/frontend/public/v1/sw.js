// Answers page loads through the service worker; everything else goes to the network as it is.
// Registered only when the address carries ?sw=1.
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (event.request.mode === "navigate") event.respondWith(fetch(event.request));
});
