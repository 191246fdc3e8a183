import { Component, isDevMode } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { provideRouter, RouterOutlet } from "@angular/router";
import { provideServiceWorker } from "@angular/service-worker";

@Component({ selector: "app-root", imports: [RouterOutlet], template: "<router-outlet />" })
class App {}

bootstrapApplication(App, {
  providers: [
    provideRouter([{ path: "about", loadComponent: () => import("./about").then((module) => module.About) }]),
    provideServiceWorker("ngsw-worker.js", { enabled: !isDevMode() }),
  ],
});
