import "./styles/base.css";
import "#edition/theme.css";
import { render } from "preact";
import { App } from "./app";
import { mountPanel } from "./panel/panel";

// What the document says and what its script says must agree; a mixed page would show here first.
document.documentElement.dataset.scriptVersion = import.meta.env.VITE_VERSION;

render(<App />, document.getElementById("app")!);
mountPanel();

if (new URLSearchParams(location.search).has("sw")) {
  void navigator.serviceWorker?.register("/sw.js");
}
