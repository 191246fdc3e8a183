/** 12.5 as "12.5 %", 10 as "10 %". */
export const percent = (share: number): string => `${+share.toFixed(2)}\u2009%`;

/** The order of versions on all pages: the newest first, as on the slider. */
export const newestFirst = (ids: Iterable<string>): string[] => [...new Set(ids)].sort().reverse();
