import licences from "../../src/assets/licences.txt?url";

export const edition = {
  licences,
  farewell: "Second Post leaves the quay at half past two. Yours faithfully, the shop.",
};
