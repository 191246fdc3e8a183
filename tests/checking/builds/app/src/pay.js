export const pay = (amount) => `pay ${amount}`;
