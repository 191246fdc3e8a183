import "./main.css";
import { shared } from "./shared.js";

const main = document.querySelector("main");
const pages = {
  "#about": () => import("./about.js"),
  "#cart": () => import("./cart.js"),
};
const image = document.createElement("img");
image.src = new URL("./picture.png", import.meta.url).href;
main.append(shared("main"), image);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => main.append(data);
addEventListener("hashchange", async () => {
  const page = await pages[location.hash]?.();
  if (page) main.append(page.view());
});
