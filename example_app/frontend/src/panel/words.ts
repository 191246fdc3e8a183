const WHY: Record<string, string> = {
  override: "an override asked for it",
  only: "it is the only version with a share",
  key: "your version key falls on it",
  minted: "a number drawn for this browser falls on it",
  bucket: "the number in this browser’s cookie falls on it",
  random: "drawn by percentage",
  pin: "the page you loaded last came from it",
  referer: "the file that asked came from it",
  baseline: "nothing in the request tells its page’s version, so the baseline answers",
};

const BRIEFLY: Record<string, string> = {
  override: "an override asked for it",
  only: "the only version with a share",
  minted: "by the number in its cookie",
  bucket: "by the number in its cookie",
  random: "drawn by percentage",
  pin: "like the page before it",
};

/** A decision's reason in as few words as a phone has room for. */
export const briefly = (reason: string, source: string | null): string =>
  reason === "key" && source ? `by its ${source.replace(":", " ")}` : (BRIEFLY[reason] ?? reason);

/** A decision's reason in words, without a subject: "… because …". */
export const why = (reason: string, source: string | null): string =>
  (WHY[reason] ?? reason) + (source && reason === "key" ? ` (${source.replace(":", " ")})` : "");

const REFUSED: Record<string, string> = {
  "unknown-version": "it names a version that is not here",
  "not-deployed": "it names a version that is not in the deployment",
  "bad-syntax": "it could not be read",
  "bad-signature": "its signature is not valid, or no longer",
  "other-app": "it is for another application",
};

/** What was refused, and why. A refused key is the one thing that is no override. */
export const refusal = (refused: string): [what: string, why: string] =>
  refused === "key-source" ? ["a version key", "it could not be used"] : ["an override", REFUSED[refused] ?? refused];

/** 12.5 as "12.5 %", 10 as "10 %". */
export const percent = (share: number): string => `${+share.toFixed(2)}\u2009%`;
