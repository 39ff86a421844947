// Exact decimals. An amount stays text from the provider to the screen, because a JavaScript number would alter it.
// Only the line charts use numbers.

// More decimals than any amount has.
const SCALE = 28;

// Converts an amount to a BigInt: whole units of 10^-SCALE.
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

// The largest number of decimals among these amounts.
export const decimals = (amounts) => Math.max(0, ...amounts.map((text) => text?.split(".")[1]?.length ?? 0));
