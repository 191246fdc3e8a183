export const version = "v2";
