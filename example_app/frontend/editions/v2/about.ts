import picture from "./parcel.svg";

export const about = {
  title: "From your table to their mat",
  lead: "Nothing here arrives in a second. That is what makes it worth opening.",
  steps: [
    { name: "Write it", text: "Badly, if need be. A short letter today beats a fine one next spring." },
    { name: "Stamp it", text: "Lick, press, done. The postmark will say where it set out." },
    { name: "Sort it", text: "One address, one pigeonhole. It never changes its mind halfway." },
    { name: "Open it", text: "Kettle first. Then the letter. Then the drawer with the good paper, to answer." },
  ],
  picture,
  pictureText: "A yellow parcel tied with black string, one corner already opened",
  noteTitle: "We pack it ourselves",
  note: [
    "Two tables, one tape gun, and a window to the yard where the van waits until half past two. If your order is in before, it is on the van.",
    "Every parcel carries a blank card and a stamp: you owe somebody a letter, and now you have no excuse.",
  ],
};
