import { decimals, element, failure, row, sum } from "./rows.js";

// Asks /v1/reconciliation every 30 seconds and shows what it answers. The caller key is kept in a variable and nowhere
// else.

const REFRESH_SECONDS = 30;
// The gateway's own ceiling: what is older is no longer shown either.
const CEILING_SECONDS = 60;
// Longer than the gateway takes for a whole request.
const TIMEOUT_SECONDS = 20;

let key = null;
let asking = null;
let report = null;
let nextAt = null;
let allowedAt = null;

const byId = (id) => document.getElementById(id);

// Neither clock alone can be trusted: one stops while a laptop sleeps, the other can be set back.
const moment = () => ({ monotonic: performance.now(), wall: Date.now() });
const secondsSince = ({ monotonic, wall }) =>
  Math.max(performance.now() - monotonic, Date.now() - wall) / 1000;
const secondsUntil = (due) => Math.max(0, Math.ceil(due.seconds - secondsSince(due.from)));

function show(answer, age, received) {
  const { balances, errors, sums, complete } = answer;
  // The gateway tells the age of the oldest; the others are younger by what their moments differ.
  const fetched = balances.map((balance) => Date.parse(balance.fetched_at));
  const oldest = Math.min(...fetched);
  const rows = balances.map((balance, index) => ({
    ...row(balance),
    ageThen: age - (fetched[index] - oldest) / 1000,
  }));
  const failures = errors.map(failure);
  report = { received, rows, failures };

  byId("failures").hidden = errors.length === 0;
  byId("failures").querySelector("ul").replaceChildren(...failures.map(({ made }) => made));
  byId("sums").replaceChildren(...sums.map(sum));
  byId("balances").replaceChildren(...rows.map(({ made }) => made));
  for (const column of ["available", "blocked", "total"]) {
    const longest = decimals(balances.map((balance) => balance[column]));
    byId("balances").style.setProperty(`--${column}-decimals`, longest);
  }
  const summary = byId("summary");
  summary.className = `notice ${complete ? "good" : "bad"}`;
  say(summary, said(balances.length, errors.length));
  tick();
}

function said(there, missing) {
  if (there + missing === 0) return "This key may see no account that is switched on.";
  if (missing === 0) return there === 1 ? "The balance is there." : `All ${there} balances are there.`;
  return `${missing} of ${there + missing} balances ${missing === 1 ? "is" : "are"} missing.`;
}

// Screen readers speak what is set, so the same is not set again.
function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function notice(text) {
  byId("notice").hidden = text === "";
  say(byId("notice"), text);
}

// What changes by itself: ages, waits, and what became too old to be shown.
function tick() {
  if (key === null) return;
  const wait = allowedAt === null ? 0 : secondsUntil(allowedAt);
  byId("refresh").disabled = asking !== null || wait > 0;
  byId("enter").disabled = asking !== null || wait > 0;
  if (asking === null && nextAt !== null && secondsUntil(nextAt) === 0) refresh();
  if (report === null) return;
  const passed = secondsSince(report.received);
  for (const { made, age, ageThen } of report.rows) {
    const seconds = ageThen + passed;
    age.textContent = `${Math.ceil(seconds)} s`;
    // While its successor is under way an amount may stay for a moment.
    if (seconds > CEILING_SECONDS && asking === null) withdraw(made);
  }
  for (const { again, seconds } of report.failures) {
    const left = Math.ceil(seconds - passed);
    again.textContent = left > 0 ? `The provider is asked again in ${left} s at the earliest.` : "";
  }
  const next = asking === null && nextAt !== null ? `next in ${secondsUntil(nextAt)} s` : "asking…";
  byId("clock").textContent = `Asked ${Math.floor(passed)} s ago, ${next}`;
}

function withdraw(made) {
  if (made.classList.contains("expired")) return;
  made.classList.add("expired");
  for (const place of made.querySelectorAll(".amount, .share")) place.replaceWith(element("span", "none", "–"));
  made.querySelector(".state").replaceChildren(element("span", "badge expired", "over 60 s old"));
  byId("sums").replaceChildren();
}

function forget(why) {
  asking?.abort();
  key = asking = report = nextAt = allowedAt = null;
  for (const id of ["balances", "sums"]) byId(id).replaceChildren();
  byId("failures").querySelector("ul").replaceChildren();
  for (const id of ["report", "controls"]) byId(id).hidden = true;
  byId("sign-in").hidden = false;
  byId("enter").disabled = false;
  byId("key").focus();
  notice(why);
}

async function refresh() {
  const abort = new AbortController();
  const timeout = setTimeout(() => abort.abort(), TIMEOUT_SECONDS * 1000);
  asking = abort;
  nextAt = { from: moment(), seconds: REFRESH_SECONDS };
  tick();
  try {
    const response = await fetch("v1/reconciliation", {
      headers: { Authorization: `Bearer ${key}`, "Cache-Control": "max-age=60", Accept: "application/json" },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: abort.signal,
    });
    const received = moment();
    const answer = await response.json();
    if (asking !== abort) return;
    asking = null;
    if (response.ok) accept(answer, response, received);
    else refuse(answer, response, received);
  } catch {
    if (asking !== abort) return;
    asking = null;
    notice("The gateway cannot be reached. It is asked again every 30 s.");
  } finally {
    clearTimeout(timeout);
    tick();
  }
}

function accept(answer, response, received) {
  notice("");
  allowedAt = null;
  const isFirst = byId("report").hidden;
  byId("sign-in").hidden = true;
  for (const id of ["report", "controls"]) byId(id).hidden = false;
  show(answer, Number(response.headers.get("age") ?? 0), received);
  if (isFirst) byId("summary").focus();
}

function refuse(problem, response, received) {
  if (response.status === 401) {
    forget("This key is not known to the gateway.");
    return;
  }
  const wait = Number(response.headers.get("retry-after") ?? 0);
  allowedAt = { from: received, seconds: wait };
  // The usual moment, unless the gateway wants a longer pause.
  if (secondsUntil(allowedAt) > secondsUntil(nextAt)) nextAt = allowedAt;
  const again = secondsUntil(nextAt);
  notice(`${problem.title}: ${problem.detail}. Asked again in ${again} s.`);
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = byId("key").value.trim();
  byId("key").value = "";
  // Other signs cannot be sent in a header, so no key has them.
  if (!/^[\x21-\x7e]+$/.test(given)) {
    notice("This key is not known to the gateway.");
    return;
  }
  key = given;
  notice("");
  refresh();
});
byId("refresh").addEventListener("click", () => {
  if (asking === null) refresh();
});
byId("forget").addEventListener("click", () => forget(""));
// A tab in the background is called rarely: what it shows is brought up to date when it is looked at.
document.addEventListener("visibilitychange", tick);
setInterval(tick, 1000);
byId("key").focus();
