import "./styles/base.css";
import "#edition/theme.css";
import { render } from "preact";
import { App } from "./app";
import { mountPanel } from "./panel/panel";

// The document and its script must name the same version. The tests compare both.
document.documentElement.dataset.scriptVersion = import.meta.env.VITE_VERSION;

render(<App />, document.getElementById("app")!);
mountPanel();

if (new URLSearchParams(location.search).has("sw")) {
  void navigator.serviceWorker?.register("/sw.js");
}
