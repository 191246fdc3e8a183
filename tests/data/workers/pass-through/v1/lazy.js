export { version as inner } from "./inner.js";
export const version = "v1";
