// The HTML elements of a balance, of a failure, and of a sum.

import { draw } from "./trend.js";

const ALERTS = new Map([
  ["critical", "below critical"],
  ["warning", "below warning"],
  ["high", "above high"],
  ["high_blocked", "high blocked share"],
]);

export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// Shows the digits in groups of three. CSS makes the gaps, so copied or spoken text is the exact amount.
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

function badges({ balance, isExpired, problem }) {
  const badge = (kind, text) => element("span", `badge ${kind}`, text);
  if (isExpired) return [badge("expired", "too old to show")];
  const made = balance.alerts.map((alert) => badge(alert, ALERTS.get(alert) ?? alert));
  if (balance.status === "ALERT") made.unshift(badge("critical", "nothing available"));
  if (problem) made.push(badge("failing", "last read failed"));
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

const time = (at) => new Date(at).toLocaleTimeString();

function trend({ trend, changedAt, openedAt }, now) {
  const said = changedAt === null ? `unchanged since ${time(openedAt)}` : `changed ${time(changedAt)}`;
  return [draw(trend, now, `Trend: ${said}`), element("small", "", said)];
}

// Makes the row of a balance; `now` is in milliseconds.
export function row(entry, now) {
  const { balance, isExpired } = entry;
  const account = element("th", "account", balance.account, element("small", "", balance.provider));
  account.scope = "row";
  account.setAttribute("role", "rowheader");
  const currency = [balance.currency];
  if (balance.type !== null) currency.push(element("small", "", balance.type));
  const shown = (...parts) => (isExpired ? [element("span", "none", "–")] : parts);
  const age = cell("Age", "number age");
  const made = element(
    "tr",
    isExpired ? "expired" : "",
    account,
    cell("Currency", "currency", ...currency),
    cell("Available", "number available", ...shown(amount(balance.available))),
    cell("Trend", "since", ...trend(entry, now)),
    cell("Blocked", "number blocked", ...shown(...blocked(balance))),
    cell("Total", "number total", ...shown(amount(balance.total))),
    age,
    cell("State", "state", ...badges(entry)),
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

export function card(currency, available, count) {
  const counted = count === 1 ? "1 balance" : `${count} balances`;
  const figure = element("dd", "", amount(available), element("small", "", counted));
  return element("div", "card", element("dt", "", currency), figure);
}
