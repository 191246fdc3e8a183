const WHY: Record<string, string> = {
  override: "a request header asked for it",
  only: "it is the only version with a share",
  key: "your version key falls on it",
  minted: "a number drawn for this browser falls on it",
  bucket: "the number in this browser’s cookie falls on it",
  random: "drawn by percentage",
  pin: "the page you loaded last came from it",
  referer: "the file that asked came from it",
  baseline: "the page was loaded before the split began",
};

const BRIEFLY: Record<string, string> = {
  override: "a request header asked for it",
  only: "the only version with a share",
  minted: "by the number in its cookie",
  bucket: "by the number in its cookie",
  random: "drawn by percentage",
  pin: "like the page before it",
  baseline: "from before the split",
};

/** A decision's reason in as few words as a phone has room for. */
export const briefly = (reason: string, source: string | null): string =>
  reason === "key" && source ? `by its ${source.replace(":", " ")}` : (BRIEFLY[reason] ?? reason);

/** A decision's reason in words, without a subject: "… because …". */
export const why = (reason: string, source: string | null): string =>
  (WHY[reason] ?? reason) + (source && reason === "key" ? ` (${source.replace(":", " ")})` : "");

/** 12.5 as "12.5 %", 10 as "10 %". */
export const percent = (share: number): string => `${+share.toFixed(2)}\u2009%`;
