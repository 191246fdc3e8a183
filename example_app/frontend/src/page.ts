// What every page rendered by the server needs: the edition's look, and the panel.
import "./styles/base.css";
import "#edition/theme.css";
import "./styles/server.css";
import { mountPanel } from "./panel/panel";

document.documentElement.dataset.scriptVersion = import.meta.env.VITE_VERSION;
mountPanel();
