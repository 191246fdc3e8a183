import "./page";
import "./rollout/rollout.css";
import { render } from "preact";
import { Board } from "./rollout/board";

render(<Board />, document.getElementById("board")!);
