// The state of each balance on the page: the last answer, its age, its trend since the page was opened, its problem.

import { add } from "./trend.js";

// The gateway's ceiling on age, for accounts whose `max_age` is not known yet.
const CEILING_SECONDS = 60;

// Neither clock alone can be trusted: one stops while a laptop sleeps, the other can be set back.
export const moment = () => ({ monotonic: performance.now(), wall: Date.now() });
export const secondsSince = ({ monotonic, wall }) =>
  Math.max(performance.now() - monotonic, Date.now() - wall) / 1000;

export const keyOf = ({ account, currency, type }) => JSON.stringify([account, currency, type]);

// One balance, or its problem while no balance has arrived yet.
export class Entry {
  constructor({ account, currency, type }) {
    Object.assign(this, { account, currency, type, balance: null, problem: null, isExpired: false });
    Object.assign(this, { trend: [], openedAt: Date.now(), changedAt: null });
  }

  // Takes over a received balance. `age` is its age in seconds at `received`.
  take(balance, age, received) {
    const isFirst = this.balance === null;
    this.hasChanged = !isFirst && this.balance.available !== balance.available;
    if (this.hasChanged) this.changedAt = received.wall;
    if (isFirst || this.hasChanged) add(this.trend, Number(balance.available), received.wall);
    Object.assign(this, { balance, age, received, problem: null, isExpired: false });
    [this.currency, this.type] = [balance.currency, balance.type];
    this.searchable = [balance.account, balance.provider, balance.currency, balance.type].join(" ").toLowerCase();
  }

  // Takes over the problem of a failed read.
  fail(problem, received) {
    Object.assign(this, { problem, failed: received });
  }

  seconds() {
    return this.age + secondsSince(this.received);
  }

  // Marks the balance as expired if it is too old. Returns true only when that is new. The next balance resets it.
  expire(ceilings) {
    if (this.balance === null || this.isExpired) return false;
    this.isExpired = this.seconds() > (ceilings.get(this.account) ?? CEILING_SECONDS);
    return this.isExpired;
  }

  // Whether only its problem can be shown.
  get isMissing() {
    return this.balance === null || (this.isExpired && this.problem !== null);
  }
}
