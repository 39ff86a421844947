// What the answer looks like. Amounts are texts from the provider to the screen: a number of JavaScript would alter
// them.

const ALERTS = new Map([
  ["critical", "below critical"],
  ["warning", "below warning"],
  ["high", "above high"],
  ["high_blocked", "much is blocked"],
]);

export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// Digits in groups of three. The gaps are style: what is read, copied and pasted is the amount itself.
function amount(text) {
  if (text === null) return element("span", "amount none", "–", element("span", "fraction"));
  const [whole, fraction] = text.split(".");
  const sign = whole.startsWith("-") ? "-" : "";
  const groups = whole.slice(sign.length).match(/\d{1,3}(?=(?:\d{3})*$)/g);
  const last = groups.pop();
  const digits = groups.map((group) => element("span", "group", group));
  const decimals = element("span", "fraction", fraction === undefined ? "" : `.${fraction}`);
  return element("span", "amount", sign, ...digits, element("span", "group", last, decimals));
}

function cell(label, className, ...children) {
  const made = element("td", className, ...children);
  made.setAttribute("role", "cell");
  made.dataset.label = label;
  return made;
}

function badges({ status, alerts }) {
  const badge = (kind, text) => element("span", `badge ${kind}`, text);
  const made = alerts.map((alert) => badge(alert, ALERTS.get(alert) ?? alert));
  if (status === "ALERT") made.unshift(badge("critical", "nothing available"));
  return made.length > 0 ? made : [badge("ok", "OK")];
}

function blocked(balance) {
  const parts = [amount(balance.blocked)];
  if (balance.blocked_percentage !== null) {
    const bar = element("span", "bar");
    bar.style.setProperty("--share", balance.blocked_percentage);
    parts.push(element("span", "share", bar, `${balance.blocked_percentage} %`));
  }
  return parts;
}

export function row(balance) {
  const account = element("th", "account", balance.account, element("small", "", balance.provider));
  account.scope = "row";
  account.setAttribute("role", "rowheader");
  const currency = [balance.currency];
  if (balance.type !== null) currency.push(element("small", "", balance.type));
  const age = cell("Age", "number age");
  const made = element(
    "tr",
    "",
    account,
    cell("Currency", "currency", ...currency),
    cell("Available", "number available", amount(balance.available)),
    cell("Blocked", "number blocked", ...blocked(balance)),
    cell("Total", "number total", amount(balance.total)),
    age,
    cell("State", "state", ...badges(balance)),
  );
  made.setAttribute("role", "row");
  return { made, age };
}

export function failure({ account, currency, type, problem }) {
  const what = [account, currency, type].filter((part) => part !== null).join(" · ");
  const again = element("span", "again");
  const why = element("p", "", `${problem.title}: ${problem.detail}. `, again);
  const code = element("p", "code", element("code", "", problem.code));
  return { made: element("li", "", element("h3", "", what), why, code), again, seconds: problem.retry_after ?? 0 };
}

export function sum({ currency, available, balances }) {
  const count = balances === 1 ? "1 balance" : `${balances} balances`;
  const figure = available === null ? "too long to add" : amount(available);
  return element("div", "card", element("dt", "", currency), element("dd", "", figure, element("small", "", count)));
}

// How many decimals the longest amount of a column has, so that all points stand below each other.
export const decimals = (amounts) => Math.max(0, ...amounts.map((text) => text?.split(".")[1]?.length ?? 0));
