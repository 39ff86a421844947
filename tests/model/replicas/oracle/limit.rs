//! A caller's limit: all replicas together grant no more units than it allows, and refuse none that it allows.

use super::tally::Seen;
use super::{Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::clock::REPLICAS;
use crate::replicas::schedule::Mood;

/// Longer than a replica holds units that it does not use.
const HELD_FOR: Ms = 4 * SECOND;

/// The units that callers requested, and the units that they received.
#[derive(Debug, Default)]
pub(super) struct Spendings {
    asked: Vec<(Ms, usize, u32)>,
    given: Vec<(Ms, usize, u32)>,
    disturbed: Vec<Ms>,
}

impl Spendings {
    pub(super) fn note_disturbance(&mut self, now: Ms) {
        self.disturbed.push(now);
    }
}

impl Oracle<'_> {
    pub(super) fn spend(&mut self, replica: usize, cost: u32, units: Option<u32>, is_local: bool) -> Verdict {
        self.spendings.asked.push((self.now, replica, cost));
        let Some(units) = units else {
            self.tally.note(Seen::NoUnits);
            // A local share may be smaller than the limit, and the store's answer may come after the refusal.
            return if is_local { Ok(()) } else { self.has_no_units(replica, cost) };
        };
        self.tally.note(if is_local { Seen::LocalUnits } else { Seen::Units });
        self.spendings.given.push((self.now, replica, units));
        self.within_limit()
    }

    /// Checks every span that ends now. It may hold a burst, the units that came back in the span, and the local share
    /// of each replica, which a replica may use while the store does not answer.
    fn within_limit(&self) -> Verdict {
        let (limit, replicas) = (self.schedule.limit, u32::try_from(REPLICAS).unwrap());
        let is_calm = matches!(self.schedule.mood, Mood::Calm | Mood::Well);
        let mut given = 0;
        for (since, _, units) in self.spendings.given.iter().rev() {
            given += units;
            let span = self.now - since;
            let back = u32::try_from(span * Ms::from(limit.requests) / limit.per).unwrap();
            let lost = self.spendings.disturbed.iter().filter(|at| **at + HELD_FOR > *since).count();
            let whole = limit.burst + back + 1;
            let local = replicas * (limit.burst / replicas).max(1) + replicas;
            let may = if is_calm {
                whole + local
            } else {
                // Each loss of the store's data fills the bucket; a replica that is alone gives its share of the rate.
                (whole + local) * (1 + u32::try_from(lost).unwrap())
                    + back.max(replicas * back.div_ceil(replicas))
            };
            if given > may {
                return Err(format!("{given} units in {span} ms, {may} are allowed"));
            }
        }
        Ok(())
    }

    /// A refusal is right only if the bucket is empty, apart from units that other replicas hold for their callers.
    fn has_no_units(&self, replica: usize, cost: u32) -> Verdict {
        let limit = self.schedule.limit;
        if !matches!(self.schedule.mood, Mood::Calm | Mood::Well) {
            return Ok(());
        }
        let (mut missing, mut at) = (0, 0);
        let interval = limit.per * SECOND / Ms::from(limit.requests);
        for (given_at, _, units) in &self.spendings.given {
            missing = (missing - (given_at - at) * SECOND).max(0) + Ms::from(*units) * interval;
            at = *given_at;
        }
        missing = (missing - (self.now - at) * SECOND).max(0);
        let left = Ms::from(limit.burst) - missing / interval;
        let recently = |(at, by, _): &&(Ms, usize, u32)| *by != replica && at + HELD_FOR > self.now;
        let held: Ms = self.spendings.asked.iter().filter(recently).map(|(_, _, cost)| Ms::from(*cost)).sum();
        // Between two answers of the store, a replica uses at most its share of the remaining units.
        let just_now = |(at, by, _): &&(Ms, usize, u32)| *by == replica && at + SECOND > self.now;
        let here: Ms =
            self.spendings.given.iter().filter(just_now).map(|(_, _, units)| Ms::from(*units)).sum();
        let local_share = (left - held) / Ms::try_from(REPLICAS).unwrap();
        if local_share > Ms::from(cost) + here + 1 {
            return Err(format!(
                "{cost} units are refused although {left} are left; at most {held} are held elsewhere"
            ));
        }
        Ok(())
    }
}
