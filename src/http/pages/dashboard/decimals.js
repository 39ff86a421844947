// Exact decimals. Amounts are texts from the provider to the screen: a number of JavaScript would alter them. Only
// what is drawn becomes a number.

// More decimals than any amount has.
const SCALE = 28;

// A whole number of the smallest unit that any amount can have.
export function exact(text) {
  const sign = text.startsWith("-") ? "-" : "";
  const [whole, fraction = ""] = text.slice(sign.length).split(".");
  return BigInt(sign + whole + fraction.padEnd(SCALE, "0"));
}

// The sum of some amounts, with as many decimals as the longest of them.
export function sum(amounts) {
  const places = decimals(amounts);
  const total = amounts.reduce((total, amount) => total + exact(amount), 0n);
  const sign = total < 0n ? "-" : "";
  const digits = (total < 0n ? -total : total).toString().padStart(SCALE + 1, "0");
  const fraction = digits.slice(-SCALE).slice(0, places);
  return sign + digits.slice(0, -SCALE) + (places > 0 ? `.${fraction}` : "");
}

// How many decimals the longest of some amounts has.
export const decimals = (amounts) => Math.max(0, ...amounts.map((text) => text?.split(".")[1]?.length ?? 0));
