//! The rules for an answer: the promises, and the answer that its caller must get.

use super::caller::{Expected, State};
use super::tally::Seen;
use super::{Given, Ms, Oracle, Point, Verdict};
use crate::alone::clock::SECOND;
use balance_gateway::gateway::Via;

/// "At most 60 seconds."
const PROMISE: Ms = 60 * SECOND;

impl Oracle {
    pub(super) fn may_get(&mut self, id: usize, given: &Given) -> Verdict {
        if !self.is_ready(id) {
            return Err("answered before the charge, or the record of the hold, that is due".to_owned());
        }
        let now = self.point(self.callers[&id].request.place);
        let given = match given {
            Given::Refused(refusal) => Expected::Refused(*refusal),
            Given::Served { amount, fetched_at, age, via } => {
                let (read, at) = self.brought(id, amount)?;
                self.may_have(id, (read, *via), at, now)?;
                if (at.wall, at.age_at(now)) != (*fetched_at, *age) {
                    return Err(format!(
                        "fetched at {fetched_at} ms, {age} ms old: read {read} was at {at:?}"
                    ));
                }
                Expected::Served { read, via: *via }
            }
        };
        let caller = &self.callers[&id];
        let is_at_once = caller.must.is_some();
        let allowed = match (caller.must, caller.state) {
            (Some(must), _) => vec![must],
            (None, State::Waiting) => self.allowed(id, now),
            (None, State::Queued | State::Gone(_)) => Vec::new(),
        };
        if !allowed.contains(&given) {
            return Err(format!("got {given:?} instead of one of {allowed:?}"));
        }
        self.tally.note(Seen::in_answer(given, is_at_once));
        Ok(())
    }

    /// The read of this balance that brought an amount, and when it was requested.
    fn brought(&self, id: usize, amount: &str) -> Result<(usize, Point), String> {
        let brought = self.reads.iter().position(|read| read.amount() == Some(amount));
        let read = brought.ok_or_else(|| format!("promise 1: no read brought {amount}"))?;
        if self.reads[read].place != self.callers[&id].request.place {
            return Err(format!("promise 1: {amount} is another balance's"));
        }
        let requested_at = self.reads[read].requested_at();
        Ok((read, requested_at.ok_or("promise 1: its read was never sent")?))
    }

    /// The promises about a snapshot, which hold whatever the caller must get.
    fn may_have(&mut self, id: usize, (read, via): (usize, Via), at: Point, now: Point) -> Verdict {
        let caller = &self.callers[&id];
        let age = at.age_at(now);
        if age >= caller.request.ages.max_age.min(PROMISE) {
            return Err(format!("promise 2: the balance of read {read} is {age} ms old"));
        }
        if !caller.pass.accepts(at) && via != Via::Fallback {
            return Err(format!("label: read {read} does not meet the demand, and {via:?} does not say so"));
        }
        if !caller.pass.accepts(at) && !self.may_fall_back(id, age, now) {
            let (at, not_before) = (at.mono, caller.pass.not_before);
            return Err(format!(
                "join rule: read {read} is of {at} ms, earlier than the demanded {not_before} ms"
            ));
        }
        // A moment of another gateway's wall clock can be compared only while both clocks agree.
        let [first, second] = self.now.walls;
        let may_compare = !self.stepped && (first - second).abs() <= SECOND;
        let Some(paid) = caller.request.invalidated_at.filter(|_| may_compare) else { return Ok(()) };
        if at.mono < paid {
            return Err(format!("read-your-writes: read {read} is of {} ms, paid at {paid} ms", at.mono));
        }
        self.tally.note(Seen::OwnWriteRead);
        Ok(())
    }
}
