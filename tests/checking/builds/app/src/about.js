import "./about.css";
import { shared } from "./shared.js";

export const view = () => shared("about");
