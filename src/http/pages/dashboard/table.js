// The table: which balances are shown, and in which order. A row is made again only when its balance has changed.

import { compare } from "./decimals.js";
import { element, row } from "./rows.js";

const byId = (id) => document.getElementById(id);

const STATES = new Map([
  ["ok", ["OK", (entry) => severity(entry) === 0]],
  ["alert", ["any alert", ({ balance, isExpired }) => !isExpired && (balance.alerts.length > 0 || balance.status === "ALERT")]],
  ["failing", ["last read failed", ({ problem }) => problem !== null]],
  ["expired", ["too old to show", ({ isExpired }) => isExpired]],
  ["changed", ["changed since opened", ({ changedAt }) => changedAt !== null]],
]);

const RANKS = ["high", "high_blocked", "warning", "critical"];

function severity({ balance, isExpired, problem }) {
  if (isExpired) return 7;
  if (problem !== null) return 6;
  if (balance.status === "ALERT") return 5;
  return Math.max(0, ...balance.alerts.map((alert) => RANKS.indexOf(alert) + 1));
}

// Made once: a thousand balances need ten thousand comparisons.
const collator = new Intl.Collator(undefined, { numeric: true });
const texts = (a, b) => collator.compare(a ?? "", b ?? "");

// How each column sorts, the smallest first.
const ORDERS = {
  account: (a, b) => texts(a.account, b.account) || texts(a.currency, b.currency) || texts(a.type, b.type),
  currency: (a, b) => texts(a.currency, b.currency) || texts(a.type, b.type),
  available: (a, b) => compare(a.balance.available, b.balance.available),
  blocked: (a, b) => compare(a.balance.blocked, b.balance.blocked),
  total: (a, b) => compare(a.balance.total, b.balance.total),
  changed: (a, b) => (a.changedAt ?? 0) - (b.changedAt ?? 0),
  age: (a, b) => a.seconds() - b.seconds(),
  state: (a, b) => severity(a) - severity(b),
};

const sorting = { column: "account", sign: 1 };

// Calls `changed` when the person chooses something else.
export function begin(changed) {
  const states = [["", "all"], ...[...STATES].map(([value, [text]]) => [value, text])];
  byId("by-state").replaceChildren(...states.map(([value, text]) => option(value, text)));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const { sort } = button.dataset;
      sortBy(sort, sorting.column === sort ? -sorting.sign : 1);
      changed();
    });
  }
  byId("by-column").addEventListener("input", ({ target }) => {
    const isReversed = target.value.startsWith("-");
    sortBy(target.value.slice(isReversed ? 1 : 0), isReversed ? -1 : 1);
  });
  // It bubbles up from there.
  byId("filters").addEventListener("input", changed);
}

function sortBy(column, sign) {
  Object.assign(sorting, { column, sign });
  for (const head of document.querySelectorAll("[aria-sort]")) head.removeAttribute("aria-sort");
  const head = document.querySelector(`[data-sort=${column}]`).parentElement;
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
}

function option(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

// Offers what there is, and keeps what is chosen.
function offer(select, values) {
  const wanted = ["", ...[...new Set(values)].sort(texts)];
  if (wanted.join("\n") === [...select.options].map(({ value }) => value).join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((value) => option(value, value || "all")));
  select.value = wanted.includes(chosen) ? chosen : "";
}

// The entries that are shown, in their order.
function chosen(entries) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const [provider, currency] = [byId("by-provider").value, byId("by-currency").value];
  const isOfState = STATES.get(byId("by-state").value)?.[1] ?? (() => true);
  const shown = entries.filter((entry) => {
    const { balance } = entry;
    const text = [balance.account, balance.provider, balance.currency, balance.type].join(" ").toLowerCase();
    const isMeant = (provider === "" || balance.provider === provider) && (currency === "" || balance.currency === currency);
    return isMeant && isOfState(entry) && words.every((word) => text.includes(word));
  });
  return shown.sort((a, b) => sorting.sign * ORDERS[sorting.column](a, b) || ORDERS.account(a, b));
}

// Shows these entries; `isStale` says which need a new row. Returns those that are shown.
export function show(entries, isStale, now) {
  offer(byId("by-provider"), entries.map(({ balance }) => balance.provider));
  offer(byId("by-currency"), entries.map(({ balance }) => balance.currency));
  const shown = chosen(entries);
  for (const entry of shown) {
    if (entry.row && !isStale(entry)) continue;
    entry.row = row(entry, now);
    if (entry.hasChanged) entry.row.made.classList.add("changed");
    entry.hasChanged = false;
  }
  place(byId("balances"), shown.map(({ row }) => row.made));
  const isFiltered = shown.length < entries.length;
  byId("count").textContent = isFiltered ? `${shown.length} of ${entries.length} shown` : "";
  return shown;
}

// Moves as few rows as possible: a row that moves would begin its animation again.
function place(body, rows) {
  const isSame = body.children.length === rows.length && rows.every((made, index) => body.children[index] === made);
  if (!isSame) body.replaceChildren(...rows);
}
