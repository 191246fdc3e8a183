import picture from "./bundle.svg";

export const about = {
  title: "About the post",
  lead: "A note for new customers, typed once and copied since.",
  steps: [
    { name: "You write", text: "One side of the paper only, if the ink is ours." },
    { name: "You stamp", text: "The upper right-hand corner. Left-handed customers too." },
    { name: "It is sorted", text: "By hand, by street, always into the same pigeonhole." },
    { name: "It arrives", text: "With the second post, after lunch." },
  ],
  picture,
  pictureText: "A bundle of letters tied with string",
  noteTitle: "Who we are",
  note: [
    "One counter, one typewriter with a lazy letter e, and a cat who is not for sale.",
    "We have been meaning to print a proper catalogue.",
  ],
};
