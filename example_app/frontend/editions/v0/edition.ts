import licences from "../../src/assets/licences.txt?url";

export const edition = {
  licences,
  farewell: "E. & O. E. Typed by the shop; two copies made.",
};
