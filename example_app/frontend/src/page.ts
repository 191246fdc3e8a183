// The entry of pages that the server renders: the edition's styles, and the panel.
import "./styles/base.css";
import "#edition/theme.css";
import "./styles/server.css";
import { mountPanel } from "./panel/panel";

document.documentElement.dataset.scriptVersion = import.meta.env.VITE_VERSION;
mountPanel();
