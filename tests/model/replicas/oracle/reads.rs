//! What the provider is asked, and how often.

use super::tally::Seen;
use super::{Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::chance::CALM_DELAY;
use crate::replicas::clock::REPLICAS;
use balance_gateway::domain::{Priority, UpstreamError};

/// As long as a calm look-up may take: three round trips where the store has to be told the script, and then some.
pub(super) const LOOK_UP: Ms = 10 * CALM_DELAY.cast_signed();

/// A read that a replica began: of its own, or of another replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) by: usize,
    pub(super) replica: usize,
    pub(super) balance: usize,
    pub(super) priority: Priority,
    /// Its first call, if it made one: then it is the replica's own.
    pub(super) first_call: Option<usize>,
    pub(super) ended: Option<Ended>,
}

/// When a read ended, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) at: Ms,
    pub(super) error: Option<UpstreamError>,
}

/// One call that the provider received.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) read: usize,
    pub(super) at: Ms,
    pub(super) replied: Option<Ms>,
    pub(super) brought: Option<(String, Ms)>,
}

impl Request {
    /// When it was sent, less the answer's `Age`.
    pub(super) fn requested_at(&self) -> Ms {
        self.at - self.brought.as_ref().map_or(0, |(_, age)| *age)
    }
}

impl Oracle<'_> {
    pub(super) fn begin(&mut self, id: usize, read: Read) -> Verdict {
        let runs = |it: &&Read| it.ended.is_none() && it.balance == read.balance;
        if self.reads.iter().filter(runs).any(|it| it.replica == read.replica) {
            return Err(format!("read {id}: its replica reads this balance already"));
        }
        self.reads.push(read);
        Ok(())
    }

    /// A read has ended. Its number says whether the replicas shared it.
    pub(super) fn finish(&mut self, id: usize, number: Option<u64>, error: Option<UpstreamError>) -> Verdict {
        self.reads[id].ended = Some(Ended { at: self.now, error });
        let is_own = self.reads[id].first_call.is_some();
        if self.schedule.is_calm && is_own && number.is_none() && error != Some(UpstreamError::Defect) {
            return Err(format!("read {id} is made alone, though nothing is lost"));
        }
        if is_own {
            self.tally.note(if number.is_some() { Seen::SharedRead } else { Seen::LonelyRead });
        }
        Ok(())
    }

    pub(super) fn request(&mut self, call: usize, id: usize) -> Verdict {
        assert_eq!(call, self.requests.len(), "they come in order");
        let read = self.reads[id];
        if read.first_call.is_none() {
            self.may_ask(id, &read)?;
            if self.schedule.is_calm {
                self.begin_calmly(id, &read)?;
            }
            self.reads[id].first_call = Some(call);
        }
        self.requests.push(Request { read: id, at: self.now, replied: None, brought: None });
        self.within_budget()
    }

    /// A demand for a new read shares one that began after the demand came, at whichever replica.
    fn begin_calmly(&self, id: usize, read: &Read) -> Verdict {
        let runs = |it: &Read| it.ended.is_none() && it.first_call.is_some() && it.balance == read.balance;
        if self.reads.iter().any(runs) {
            return Err(format!("read {id} runs beside another, though nothing is lost"));
        }
        if read.priority != Priority::Demanded {
            return Ok(());
        }
        let arrived = self.callers[&read.by].arrived;
        let max_age = self.schedule.ages.max_age;
        let would_do = self.requests.iter().position(|request| {
            let its_read = &self.reads[request.read];
            // A clock ahead of the one that stamped it makes it look older.
            let ahead = self.schedule.skews[read.replica] - self.schedule.skews[its_read.replica];
            let is_young = request.brought.as_ref().is_some_and(|(_, age)| *age == 0);
            its_read.balance == read.balance
                && its_read.first_call.is_some_and(|first| self.requests[first].at > arrived + LOOK_UP)
                && is_young
                && !self.is_invalidated_after(request)
                && self.now - request.at + ahead.max(0) + SECOND < max_age
        });
        match would_do {
            Some(call) => Err(format!("read {id} of caller {}: call {call} would do", read.by)),
            None => Ok(()),
        }
    }

    /// A caller that waits for a call which an invalidation overtakes needs one more.
    fn is_invalidated_after(&self, request: &Request) -> bool {
        let balance = self.reads[request.read].balance;
        self.invalidations.iter().any(|it| it.balance == balance && it.at + LOOK_UP >= request.at)
    }

    fn within_budget(&self) -> Verdict {
        let counted = self.counted(0);
        let (requests, replicas) = (self.schedule.budget.requests, u32::try_from(REPLICAS).unwrap());
        let alone = if self.schedule.is_calm { 0 } else { replicas * (requests / replicas).max(1) };
        if counted > requests + alone {
            return Err(format!("{counted} calls count, {requests} may"));
        }
        Ok(())
    }

    /// The calls that count now: the provider may have received each at any time until its answer.
    pub(super) fn counted(&self, slack: Ms) -> u32 {
        let per = self.schedule.budget.per + slack;
        let counts = |request: &&Request| request.replied.is_none_or(|replied| self.now - replied < per);
        u32::try_from(self.requests.iter().filter(counts).count()).unwrap()
    }
}
