// Follows /v1/events and shows each balance as it changes. Without a stream, it requests /v1/reconciliation every
// 30 seconds. The caller key is stored only in a variable.

import { Entry, keyOf, moment, secondsSince } from "./balances.js";
import { decimals, sum } from "./decimals.js";
import { card, failure } from "./rows.js";
import { events } from "./stream.js";
import * as table from "./table.js";

const POLL_SECONDS = 30;
// The time-out of a report: longer than the gateway's own time-out of a request.
const TIMEOUT_SECONDS = 20;
// A stream silent for this long is dead: the gateway sends a comment after 15 seconds of silence.
const SILENCE_SECONDS = 40;
// The pauses in seconds before each new attempt to open a stream. The last one repeats.
const PAUSES = [1, 2, 4, 8, 15, 30];
// A larger step means that the clock was set or the laptop slept. Then the gateway's time cannot be derived any more.
const CLOCK_STEP_SECONDS = 3;

let session = null;

const byId = (id) => document.getElementById(id);
const secondsUntil = (due) => Math.max(0, Math.ceil(due.seconds - secondsSince(due.from)));
const after = (seconds) => ({ from: moment(), seconds });

// A new session: all state that is dropped with the key.
const begin = (key) => ({
  key,
  entries: new Map(),
  ceilings: new Map(),
  expected: 0,
  stale: new Set(),
  // "opening", "live", "lost" or "polling".
  mode: "opening",
  attempts: 0,
  abort: new AbortController(),
  // The next attempt to open the stream, and the next request for the report.
  openAt: null,
  pollAt: null,
  allowedAt: null,
  isPolling: false,
  polledAt: null,
  heard: moment(),
});

const ask = (path, { key }, headers, signal) =>
  fetch(path, {
    headers: { Authorization: `Bearer ${key}`, ...headers },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal,
  });

async function open(of) {
  Object.assign(of, { openAt: null, abort: new AbortController(), heard: moment() });
  const { signal } = of.abort;
  try {
    const response = await ask("v1/events", of, { Accept: "text/event-stream" }, signal);
    if (of !== session) return;
    if (!response.ok) return refuse(of, response, await response.json());
    const opened = moment();
    // `Date` is in whole seconds, so the gateway's clock is up to one second ahead of it. One second is added.
    const gateway = Date.parse(response.headers.get("date")) + 1000;
    Object.assign(of, { mode: "live", attempts: 0, allowedAt: null, pollAt: null, heard: opened });
    notice("");
    enter();
    learnAccounts(of);
    for await (const { event, data } of events(watched(response.body, of))) {
      if (of !== session) return;
      if (event === "bye") break;
      take(of, event, JSON.parse(data), (at) => (gateway - Date.parse(at)) / 1000 + secondsSince(opened));
    }
  } catch {
    // The connection is lost, or was aborted by this page.
  }
  if (of === session) lose(of);
}

// Notes the time of every chunk of the stream.
function watched(body, of) {
  const note = (chunk, controller) => {
    of.heard = moment();
    controller.enqueue(chunk);
  };
  return body.pipeThrough(new TransformStream({ transform: note }));
}

function take(of, event, data, ageOf) {
  const received = moment();
  const entry = find(of, data);
  if (event === "balance") entry.take(data, Math.max(0, ageOf(data.fetched_at)), received);
  else if (event === "problem") entry.fail(data.problem, received);
  of.stale.add(entry);
  if (of.stale.size === 1) requestAnimationFrame(() => draw(of));
}

// Finds or creates the entry of an event. Some accounts get their currency only from the provider's answer; their
// problems have no currency.
function find(of, data) {
  const exact = of.entries.get(keyOf(data));
  if (exact) return exact;
  const nameless = data.currency === null
    ? [...of.entries.values()].find(({ account, type }) => account === data.account && type === data.type)
    : of.entries.get(keyOf({ ...data, currency: null }));
  const entry = nameless ?? new Entry(data);
  if (nameless) of.entries.delete(keyOf({ ...nameless }));
  of.entries.set(keyOf(nameless && data.currency === null ? nameless : data), entry);
  return entry;
}

function lose(of) {
  const pause = PAUSES[Math.min(of.attempts, PAUSES.length - 1)];
  // After the first loss, the page only connects again. If that fails, it requests reports meanwhile.
  if (of.mode !== "polling") of.mode = of.attempts === 0 ? "lost" : "polling";
  of.attempts += 1;
  of.openAt = after(pause * (0.75 + Math.random() / 2));
  if (of.mode === "polling" && of.pollAt === null) of.pollAt = after(0);
  tick();
}

function refuse(of, response, problem) {
  if (response.status === 401) return forget("This key is not known to the gateway.");
  const wait = Number(response.headers.get("retry-after") ?? 0);
  Object.assign(of, { mode: "polling", attempts: of.attempts + 1 });
  of.openAt = after(Math.max(wait, PAUSES.at(-1)));
  if (of.pollAt === null) of.pollAt = after(0);
  of.refusal = `${problem.title}: ${problem.detail}.`;
  tick();
}

async function poll(of) {
  const abort = new AbortController();
  const timeout = setTimeout(() => abort.abort(), TIMEOUT_SECONDS * 1000);
  Object.assign(of, { isPolling: true, pollAt: after(POLL_SECONDS) });
  tick();
  try {
    const response = await ask("v1/reconciliation", of, { "Cache-Control": "max-age=60", Accept: "application/json" }, abort.signal);
    const received = moment();
    const answer = await response.json();
    if (of !== session) return;
    if (response.ok) report(of, answer, Number(response.headers.get("age") ?? 0), received);
    else if (response.status === 401) forget("This key is not known to the gateway.");
    else limit(of, response, answer, received);
  } catch {
    if (of === session) notice("The gateway cannot be reached. The page tries again.");
  } finally {
    clearTimeout(timeout);
    of.isPolling = false;
    tick();
  }
}

function report(of, { balances, errors }, age, received) {
  notice("");
  Object.assign(of, { allowedAt: null, polledAt: received });
  // `Age` is the age of the oldest balance. The others are younger by the difference of their `fetched_at`.
  const oldest = Math.min(...balances.map(({ fetched_at }) => Date.parse(fetched_at)));
  for (const balance of balances) {
    const entry = find(of, balance);
    entry.take(balance, age - (Date.parse(balance.fetched_at) - oldest) / 1000, received);
    of.stale.add(entry);
  }
  for (const error of errors) {
    const entry = find(of, error);
    entry.fail(error.problem, received);
    of.stale.add(entry);
  }
  enter();
  draw(of);
}

function limit(of, response, problem, received) {
  of.allowedAt = { from: received, seconds: Number(response.headers.get("retry-after") ?? 0) };
  // The next report is requested at the usual time, or later if the gateway demands a longer pause.
  if (secondsUntil(of.allowedAt) > secondsUntil(of.pollAt)) of.pollAt = of.allowedAt;
  notice(`${problem.title}: ${problem.detail}. Next request in ${secondsUntil(of.pollAt)} s.`);
}

// Requests the list of accounts: the number of balances, the maximum age of each, and which accounts were removed.
async function learnAccounts(of) {
  try {
    const response = await ask("v1/accounts", of, {});
    const { accounts } = await response.json();
    of.ceilings = new Map(accounts.map(({ account, max_age_seconds }) => [account, max_age_seconds]));
    const enabled = accounts.filter(({ enabled }) => enabled);
    of.expected = enabled.reduce((count, { balances }) => count + balances.length, 0);
    const names = new Set(enabled.map(({ account }) => account));
    for (const [key, { account }] of of.entries) if (!names.has(account)) of.entries.delete(key);
    draw(of);
  } catch {
    // The balances of the stream are shown without the list, too.
  }
}

function draw(of) {
  if (of !== session) return;
  const all = [...of.entries.values()];
  const there = all.filter((entry) => !entry.isMissing);
  const isStale = (entry) => of.stale.has(entry);
  const shown = table.show(there, isStale, Date.now());
  of.listed = shown.listed;
  showFailures(of, all.filter(({ problem }) => problem !== null), isStale);
  of.stale.clear();
  for (const column of ["available", "blocked", "total"]) {
    const longest = String(decimals(there.map(({ balance }) => balance[column])));
    const { style } = byId("balances");
    // Setting a style costs a layout of every row, even if its value does not change.
    if (style.getPropertyValue(`--${column}-decimals`) !== longest) style.setProperty(`--${column}-decimals`, longest);
  }
  showSums(shown.all.filter(({ isExpired }) => !isExpired));
  const expired = there.filter(({ isExpired }) => isExpired).length;
  const available = there.length - expired;
  const unavailable = Math.max(of.expected, all.length) - available;
  byId("summary").className = `notice ${unavailable === 0 ? "good" : "bad"}`;
  say(byId("summary"), said(available, unavailable));
  tick();
}

// Replaces the card of a failure only when its balance has changed.
function showFailures(of, failed, isStale) {
  for (const entry of failed) {
    if (entry.failure && !isStale(entry)) continue;
    entry.failure = { ...failure(entry), failed: entry.failed };
  }
  of.failures = failed.map((entry) => entry.failure);
  byId("failures").hidden = failed.length === 0;
  replace(byId("failures").querySelector("ul"), of.failures.map(({ made }) => made));
}

// The cards of the sums, by their content.
let cards = new Map();

function showSums(entries) {
  const currencies = [...Map.groupBy(entries, ({ balance }) => balance.currency)].sort(([a], [b]) => (a < b ? -1 : 1));
  const made = currencies.map(([currency, of]) => {
    const shown = [currency, sum(of.map(({ balance }) => balance.available)), of.length];
    const known = cards.get(shown.join(" "));
    return [shown.join(" "), known ?? card(...shown)];
  });
  cards = new Map(made);
  replace(byId("sums"), made.map(([, card]) => card));
}

// Replaces the children of an element unless they are the same.
function replace(parent, children) {
  const isSame = parent.children.length === children.length && children.every((child, at) => parent.children[at] === child);
  if (!isSame) parent.replaceChildren(...children);
}

function said(there, missing) {
  if (there + missing === 0) return "This key may see no enabled account.";
  if (missing === 0) return there === 1 ? "The balance is available." : `All ${there} balances are available.`;
  return `${missing} of ${there + missing} balances ${missing === 1 ? "is" : "are"} missing.`;
}

// Sets a text only if it differs, because screen readers speak each text that is set.
function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function notice(text) {
  byId("notice").hidden = text === "";
  say(byId("notice"), text);
}

// Runs at least every second: opens the stream and requests the report when they are due, and updates ages, waits and
// expired balances.
function tick() {
  const of = session;
  byId("enter").disabled = of !== null;
  if (of === null) return;
  watchClocks(of);
  const isDue = (due) => due !== null && secondsUntil(due) === 0;
  if (isDue(of.openAt)) open(of);
  if (of.mode === "polling" && !of.isPolling && isDue(of.pollAt)) poll(of);
  for (const entry of of.entries.values()) if (entry.expire(of.ceilings)) of.stale.add(entry);
  if (of.stale.size > 0) return draw(of);
  for (const entry of of.listed ?? []) entry.row.age.textContent = `${Math.ceil(entry.seconds())} s`;
  for (const { again, seconds, failed } of of.failures ?? []) {
    const left = Math.ceil(seconds - secondsSince(failed));
    again.textContent = left > 0 ? `No new call to the provider for ${left} s.` : "";
  }
  byId("refresh").hidden = of.mode !== "polling";
  byId("refresh").disabled = of.isPolling || (of.allowedAt !== null && secondsUntil(of.allowedAt) > 0);
  showConnection(of);
}

// Aborts a stream that is silent for too long, or during which the clocks have diverged: ages cannot be computed then.
function watchClocks(of) {
  const { monotonic, wall } = of.heard;
  const step = Math.abs(Date.now() - wall - (performance.now() - monotonic)) / 1000;
  const isSilent = of.mode === "live" && secondsSince(of.heard) > SILENCE_SECONDS;
  if (of.mode === "live" && (isSilent || step > CLOCK_STEP_SECONDS)) of.abort.abort();
}

function showConnection(of) {
  byId("connection").className = of.mode;
  const [mode, clock] = {
    opening: ["Connecting…", ""],
    live: ["Live.", "Each change appears at once."],
    lost: ["The connection is lost.", of.openAt === null ? "Connecting…" : `Connecting again in ${secondsUntil(of.openAt)} s.`],
    polling: ["Not live.", polling(of)],
  }[of.mode];
  say(byId("mode"), mode);
  say(byId("clock"), clock);
}

function polling(of) {
  const isAsking = of.isPolling || of.pollAt === null;
  if (of.polledAt === null) return isAsking ? "Requesting the report…" : `Next request in ${secondsUntil(of.pollAt)} s.`;
  const next = isAsking ? "requesting the next one…" : `next in ${secondsUntil(of.pollAt)} s`;
  return `Report received ${Math.floor(secondsSince(of.polledAt))} s ago, ${next}`;
}

function enter() {
  const isFirst = byId("report").hidden;
  byId("sign-in").hidden = true;
  for (const id of ["report", "controls"]) byId(id).hidden = false;
  if (isFirst) byId("summary").focus();
}

function forget(why) {
  session?.abort.abort();
  session = null;
  cards = new Map();
  table.forget();
  for (const id of ["balances", "sums"]) byId(id).replaceChildren();
  byId("failures").querySelector("ul").replaceChildren();
  byId("filters").reset();
  for (const id of ["report", "controls"]) byId(id).hidden = true;
  byId("sign-in").hidden = false;
  byId("enter").disabled = false;
  byId("key").focus();
  notice(why);
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = byId("key").value.trim();
  byId("key").value = "";
  // A key contains no other characters, because they cannot be sent in a header.
  if (!/^[\x21-\x7e]+$/.test(given)) {
    notice("This key is not known to the gateway.");
    return;
  }
  notice("");
  session = begin(given);
  open(session);
  tick();
});
byId("refresh").addEventListener("click", () => {
  if (session !== null && !session.isPolling) poll(session);
});
byId("forget").addEventListener("click", () => forget(""));
table.begin(() => session !== null && draw(session));
// Browsers run timers of background tabs rarely, so the page is updated when it becomes visible.
document.addEventListener("visibilitychange", tick);
setInterval(tick, 1000);
byId("key").focus();
