import { shared } from "./shared.js";

export async function view() {
  const { pay } = await import("./pay.js");
  return shared(`cart ${pay(3)}`);
}
