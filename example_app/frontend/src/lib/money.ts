const format = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });

/** Cents as a price: 1450 is €14.50. */
export const money = (cents: number): string => format.format(cents / 100);
