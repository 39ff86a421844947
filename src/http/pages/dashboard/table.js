// The table: the balances that are shown, and their order. A row is replaced only when its balance has changed.

import { exact } from "./decimals.js";
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

// Created once: creation is slow, and sorting a thousand balances takes ten thousand comparisons.
const collator = new Intl.Collator(undefined, { numeric: true });
const texts = (a, b) => collator.compare(a ?? "", b ?? "");

const byAccount = (a, b) => texts(a.account, b.account) || texts(a.currency, b.currency) || texts(a.type, b.type);
const byCurrency = (a, b) => texts(a.currency, b.currency) || texts(a.type, b.type);
const ascending = (a, b) => (a < b ? -1 : Number(a > b));
// A missing amount sorts before all others.
const ofAmount = (amount) => (amount === null ? null : exact(amount));
const amounts = (a, b) => (a === null || b === null ? (a !== null) - (b !== null) : ascending(a, b));

// For each column: the sort key of an entry, and the comparison of two keys in ascending order.
const ORDERS = {
  account: [(entry) => entry, byAccount],
  currency: [(entry) => entry, byCurrency],
  available: [({ balance }) => ofAmount(balance.available), amounts],
  blocked: [({ balance }) => ofAmount(balance.blocked), amounts],
  total: [({ balance }) => ofAmount(balance.total), amounts],
  changed: [({ changedAt }) => changedAt ?? 0, ascending],
  age: [(entry) => entry.seconds(), ascending],
  state: [severity, ascending],
};

// The layout of rows is slow. So the table begins with this many rows, and adds as many when the user nears its end.
const ROWS = 60;

const sorting = { column: "account", sign: 1 };
let most = ROWS;

// Sets up the controls. They call `draw` when the user changes a filter or the order, or nears the last row.
export function begin(draw) {
  const changed = () => {
    most = ROWS;
    draw();
  };
  const grow = () => {
    most += ROWS;
    draw();
  };
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
  // The event of `by-column` bubbles up to `filters`, which calls `changed`.
  byId("filters").addEventListener("input", changed);
  byId("more").addEventListener("click", grow);
  // The margin adds rows before the end is visible, so that scrolling shows no gap.
  new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && grow(), { rootMargin: "600px" }).observe(byId("more"));
}

// Drops the accounts when the user forgets the key.
export function forget() {
  most = ROWS;
  known = { names: "", places: [] };
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

// Fills a selection with these values, and keeps the chosen value if it still exists.
function offer(select, values) {
  const wanted = ["", ...[...new Set(values)].sort(texts)];
  if (wanted.join("\n") === [...select.options].map(({ value }) => value).join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((value) => option(value, value || "all")));
  select.value = wanted.includes(chosen) ? chosen : "";
}

// The last order by account. Collation is slow, so the order is reused until the set of entries changes.
let known = { names: "", places: [] };

function inAccountOrder(entries) {
  const names = entries.map(({ account, currency, type }) => [account, currency, type].join(" ")).join("\n");
  if (known.names !== names) {
    const places = entries.map((_, place) => place);
    known = { names, places: places.sort((a, b) => byAccount(entries[a], entries[b])) };
  }
  return known.places.map((place) => entries[place]);
}

// Sorts by the chosen column. Entries with equal keys stay in the order of their accounts.
function sorted(entries) {
  const [keyOf, compare] = ORDERS[sorting.column];
  const keyed = entries.map((entry) => ({ entry, key: keyOf(entry) }));
  return keyed.sort((a, b) => sorting.sign * compare(a.key, b.key)).map(({ entry }) => entry);
}

// The entries that match the user's filters, in the chosen order.
function chosen(entries) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const [provider, currency] = [byId("by-provider").value, byId("by-currency").value];
  const isOfState = STATES.get(byId("by-state").value)?.[1] ?? (() => true);
  const isMeant = (entry) =>
    (provider === "" || entry.balance.provider === provider) &&
    (currency === "" || entry.balance.currency === currency) &&
    isOfState(entry) &&
    words.every((word) => entry.searchable.includes(word));
  return sorted(inAccountOrder(entries).filter(isMeant));
}

// Shows the first matching entries. An entry for which `isStale` is true gets a new row. Returns all matching entries,
// and the listed ones.
export function show(entries, isStale, now) {
  offer(byId("by-provider"), entries.map(({ balance }) => balance.provider));
  offer(byId("by-currency"), entries.map(({ balance }) => balance.currency));
  const all = chosen(entries);
  const listed = all.slice(0, most);
  for (const entry of entries) if (isStale(entry)) entry.row = null;
  for (const entry of listed) {
    if (entry.row) continue;
    entry.row = row(entry, now);
    if (entry.hasChanged) entry.row.made.classList.add("changed");
  }
  for (const entry of entries) entry.hasChanged = false;
  place(listed.map(({ row }) => row.made));
  count(all.length, entries.length, listed.length);
  return { all, listed };
}

// Replaces the rows only if they or their order differ: a row that moves would restart its animation.
function place(rows) {
  const body = byId("balances");
  const isSame = body.children.length === rows.length && rows.every((made, index) => body.children[index] === made);
  if (!isSame) body.replaceChildren(...rows);
  for (const [index, made] of rows.entries()) made.ariaRowIndex = String(index + 2);
}

// Shows the numbers of rows. `ariaRowCount` also counts rows that are not listed yet, for screen readers.
function count(chosen, known, listed) {
  document.querySelector("table").ariaRowCount = String(chosen + 1);
  byId("count").textContent = chosen < known ? `${chosen} of ${known} shown` : "";
  byId("more").hidden = listed === chosen;
  byId("more").textContent = `Show more: ${chosen - listed} balances are not listed yet`;
}
