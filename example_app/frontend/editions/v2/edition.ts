import licences from "../../src/assets/licences.txt?url";

export const edition = {
  licences,
  farewell: "Second Post. Packed by hand, posted at half past two, answered when you are ready.",
};
