// What the page knows of each balance: the last one, its age, its course since the page was opened, and its problem.

import { add } from "./course.js";

// The gateway's own ceiling, for accounts whose ceiling is not known.
const CEILING_SECONDS = 60;

// Neither clock alone can be trusted: one stops while a laptop sleeps, the other can be set back.
export const moment = () => ({ monotonic: performance.now(), wall: Date.now() });
export const secondsSince = ({ monotonic, wall }) =>
  Math.max(performance.now() - monotonic, Date.now() - wall) / 1000;

export const keyOf = ({ account, currency, type }) => JSON.stringify([account, currency, type]);

// One balance, or the problem of one that has not come yet.
export class Entry {
  constructor({ account, currency, type }) {
    Object.assign(this, { account, currency, type, balance: null, problem: null, isExpired: false });
    Object.assign(this, { course: [], openedAt: Date.now(), changedAt: null });
  }

  // Takes a balance that was this old when it was received.
  take(balance, age, received) {
    const isFirst = this.balance === null;
    this.hasChanged = !isFirst && this.balance.available !== balance.available;
    if (this.hasChanged) this.changedAt = received.wall;
    if (isFirst || this.hasChanged) add(this.course, Number(balance.available), received.wall);
    Object.assign(this, { balance, age, received, problem: null, isExpired: false });
    [this.currency, this.type] = [balance.currency, balance.type];
    this.searchable = [balance.account, balance.provider, balance.currency, balance.type].join(" ").toLowerCase();
  }

  // Takes the reason why a read failed.
  fail(problem, received) {
    Object.assign(this, { problem, failed: received });
  }

  seconds() {
    return this.age + secondsSince(this.received);
  }

  // Whether the amounts may be shown. A balance that has expired stays so until the next one.
  expire(ceilings) {
    if (this.balance === null || this.isExpired) return false;
    this.isExpired = this.seconds() > (ceilings.get(this.account) ?? CEILING_SECONDS);
    return this.isExpired;
  }

  // Whether there is nothing to show but its problem.
  get isMissing() {
    return this.balance === null || (this.isExpired && this.problem !== null);
  }
}
