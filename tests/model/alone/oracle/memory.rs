//! What a lookup gets without a read: a cached snapshot, a refusal, or the last snapshot instead of a refusal.

use super::caller::{Candidate, Expected, State};
use super::pass::Pass;
use super::tally::Seen;
use super::{Ms, Oracle, Point, Verdict};
use crate::alone::clock::SECOND;
use balance_gateway::cache::Absence;
use balance_gateway::domain::RetryAfter;
use balance_gateway::gateway::{Refusal, Via};

/// After this time, every snapshot from before an invalidation has expired.
const CEILING: Ms = 60 * SECOND;

impl Oracle {
    /// Looks up the cached snapshot for a caller: it must get an answer or a refusal, or it waits.
    pub(super) fn look(&mut self, id: usize) {
        let tick = self.now.tick;
        let caller = self.caller(id);
        caller.looked = tick;
        let place = caller.request.place;
        let (mut arrived, ages) = (caller.pass.arrived, caller.request.ages);
        let only_if_cached = caller.request.call.asks.only_if_cached;
        let (now, mark) = (self.point(place), self.stores[&place].mark);
        let entry = self.entry(place);
        let stored = entry.and_then(|entry| self.requested_at(entry));
        let is_failing = entry.is_some_and(|entry| self.failed(entry).is_some());
        // Looked up once more if the snapshot has passed the ceiling since the arrival.
        let pass = loop {
            let pass = Pass::new(&self.callers[&id].request, arrived, mark);
            self.caller(id).pass = pass;
            let Some((read, at)) = stored else { break pass };
            let age = at.age_at(arrived);
            if !pass.accepts(at) || age >= ages.latest_start() {
                break pass;
            }
            if age >= ages.fresh_for && !only_if_cached {
                self.want_refresh(id);
            }
            if at.age_at(now) < ages.latest_start() {
                let via = Via::Memory { is_failing: is_failing && age >= ages.fresh_for };
                self.caller(id).must = Some(Expected::Served { read, via });
                return;
            }
            self.tally.note(Seen::CeilingPassedAfterArrival);
            arrived = now;
        };
        let everybodys = pass.everybodys(ages.max_age, mark);
        let absence = match stored {
            None => Absence::UriMiss,
            Some((_, at)) if everybodys.accepts(at) && at.age_at(arrived) < ages.latest_start() => {
                Absence::Request
            }
            Some(_) => Absence::Stale,
        };
        let caller = self.caller(id);
        caller.absence = absence;
        if only_if_cached {
            caller.must = Some(Expected::Refused(Refusal::NotCached));
        } else if absence == Absence::Request && pass.is_own {
            caller.is_charge_due = true;
        } else {
            self.ask(id);
        }
    }

    /// A caller without a usable cached snapshot gets the failure that is held, or waits.
    fn ask(&mut self, id: usize) {
        let (place, arrived) = (self.callers[&id].request.place, self.callers[&id].pass.arrived);
        let now = self.point(place);
        let held = self.entry(place).and_then(|entry| self.failed(entry));
        if let Some(failed) = held.filter(|failed| failed.holds_at(arrived.mono)) {
            let must = self.last_resort(id, now, failed.refusal(now.mono));
            let caller = self.caller(id);
            caller.is_hold_due = true;
            caller.must = Some(must);
            return;
        }
        let version = self.stores[&place].entries.len();
        let caller = self.caller(id);
        caller.state = State::Waiting;
        caller.candidates.extend((version > 0).then_some(Candidate { version, shared: None, is_due: false }));
    }

    pub(super) fn charge(&mut self, id: usize, is_granted: bool) -> Verdict {
        if !std::mem::take(&mut self.caller(id).is_charge_due) {
            return Err(format!("caller {id} is charged, but forces no read"));
        }
        self.tally.note(Seen::Charge);
        if is_granted {
            self.ask(id);
        } else {
            let now = self.point(self.callers[&id].request.place);
            let must = self.last_resort(id, now, Refusal::ForcedLimit(RetryAfter::ONE_SECOND));
            self.caller(id).must = Some(must);
        }
        Ok(())
    }

    pub(super) fn note_hold(&mut self, id: usize) -> Verdict {
        let is_due = std::mem::take(&mut self.caller(id).is_hold_due);
        if is_due { Ok(()) } else { Err(format!("no hold refuses caller {id}")) }
    }

    /// Whether the steps that must precede the answer have happened.
    pub(super) fn is_ready(&self, id: usize) -> bool {
        let caller = &self.callers[&id];
        !caller.is_charge_due && !caller.is_hold_due
    }

    /// The last snapshot, if the caller may fall back to it, else the refusal.
    pub(super) fn last_resort(&self, id: usize, now: Point, refusal: Refusal) -> Expected {
        let place = self.callers[&id].request.place;
        let stored = self.entry(place).and_then(|entry| self.requested_at(entry));
        match stored.filter(|(_, at)| self.may_fall_back(id, at.age_at(now), now)) {
            Some((read, _)) => Expected::Served { read, via: Via::Fallback },
            None => Expected::Refused(refusal),
        }
    }

    /// Whether the caller may fall back to a snapshot of this age after a read failed, was refused or came too late.
    pub(super) fn may_fall_back(&self, id: usize, age: Ms, now: Point) -> bool {
        let caller = &self.callers[&id];
        let (asks, ages) = (&caller.request.call.asks, caller.request.ages);
        let mark = self.stores[&caller.request.place].mark;
        let was_invalidated = mark.is_some_and(|mark| now.mono - mark < CEILING);
        let is_everybodys = was_invalidated && !caller.pass.is_own;
        let is_allowed = caller.request.not_before.is_none();
        let oldest = asks.stale_if_error.filter(|_| is_allowed).map(|seconds| seconds * SECOND);
        age < ages.latest_start() && (is_everybodys || oldest.is_some_and(|oldest| age <= oldest))
    }
}
