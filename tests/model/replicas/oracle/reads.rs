//! What the provider is asked, and how often.

use super::tally::Seen;
use super::{Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::chance::CALM_DELAY;
use crate::replicas::clock::REPLICAS;
use balance_gateway::domain::Priority;

/// As long as a calm look-up may take: three round trips where the store has to be told the script, and then some.
const LOOK_UP: Ms = 10 * CALM_DELAY.cast_signed();

#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) by: usize,
    pub(super) replica: usize,
    pub(super) balance: usize,
    pub(super) priority: Priority,
    /// Its turn, where the replicas shared.
    pub(super) number: Option<u64>,
    pub(super) begun: Ms,
    pub(super) ended: Option<Ms>,
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
        if self.schedule.is_calm {
            self.begin_calmly(id, &read)?;
        }
        self.tally.note(if read.number.is_some() { Seen::SharedRead } else { Seen::LonelyRead });
        self.reads.push(read);
        Ok(())
    }

    /// Whoever asks for a new read shares one that began after he came, wherever that was.
    fn begin_calmly(&self, id: usize, read: &Read) -> Verdict {
        if read.number.is_none() {
            return Err(format!("read {id} is made alone, though nothing is lost"));
        }
        if self.reads.iter().any(|it| it.ended.is_none() && it.balance == read.balance) {
            return Err(format!("read {id} runs beside another, though nothing is lost"));
        }
        if read.priority != Priority::Demanded {
            return Ok(());
        }
        let arrived = self.callers[&read.by].arrived;
        let max_age = self.schedule.ages.max_age;
        let would_do = self.requests.iter().position(|request| {
            // A clock ahead of the one that stamped it makes it look older.
            let ahead =
                self.schedule.skews[read.replica] - self.schedule.skews[self.reads[request.read].replica];
            let is_young = request.brought.as_ref().is_some_and(|(_, age)| *age == 0);
            self.reads[request.read].balance == read.balance
                && self.reads[request.read].begun > arrived + LOOK_UP
                && is_young
                && !self.is_invalidated_after(&self.reads[request.read])
                && self.now - request.at + ahead.max(0) + SECOND < max_age
        });
        match would_do {
            Some(call) => Err(format!("read {id} of caller {}: call {call} would do", read.by)),
            None => Ok(()),
        }
    }

    /// Whoever waits for a read that an invalidation overtakes needs one more.
    fn is_invalidated_after(&self, read: &Read) -> bool {
        self.invalidations.iter().any(|it| it.balance == read.balance && it.at >= read.begun)
    }

    pub(super) fn request(&mut self, call: usize, read: usize) -> Verdict {
        assert_eq!(call, self.requests.len(), "they come in order");
        self.requests.push(Request { read, at: self.now, replied: None, brought: None });
        let per = self.schedule.budget.per;
        let counted = self.requests.iter().filter(|request| {
            // It may have been received at any time until its answer.
            request.replied.is_none_or(|replied| self.now - replied < per)
        });
        let (requests, replicas) = (self.schedule.budget.requests, u32::try_from(REPLICAS).unwrap());
        let alone = if self.schedule.is_calm { 0 } else { replicas * (requests / replicas).max(1) };
        let counted = u32::try_from(counted.count()).unwrap();
        if counted > requests + alone {
            return Err(format!("{counted} calls count, {requests} may"));
        }
        Ok(())
    }
}
