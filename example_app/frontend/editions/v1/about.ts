import picture from "./window.svg";

export const about = {
  title: "How a letter travels",
  lead: "Four pairs of hands, one morning boat, and no passwords.",
  steps: [
    { name: "Written", text: "At a table, with the good pen. Crossings-out are part of the service." },
    { name: "Franked", text: "A stamp says who pays; a postmark says where and when it began." },
    { name: "Sorted", text: "Each address falls into one pigeonhole, and tomorrow into the same one." },
    { name: "Delivered", text: "Through a door, onto a mat, next to the bills, and opened first." },
  ],
  picture,
  pictureText: "The shop window above the quay, a lamp lit, boats beyond",
  noteTitle: "The shop on the quay",
  note: [
    "We began with one drawer of envelopes left over from a shipping office. People came in for one and left with four, so we bought more drawers.",
    "Everything here is made to be used up: finished notebooks, empty bottles, the last stamp in the book.",
  ],
};
