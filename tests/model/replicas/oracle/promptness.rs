//! While no message is lost, a caller waits for a read that runs, and for nothing else.

use super::reads::{LOOK_UP, Read, Request};
use super::tally::Seen;
use super::{Caller, Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::schedule::Action;
use balance_gateway::gateway::Via;

/// The time for the message that a read has ended, and for the look-up after it.
const TOLD_WITHIN: Ms = 2 * LOOK_UP;

impl Oracle<'_> {
    /// A read makes its first call as soon as the read that it waits for has ended.
    pub(super) fn begins_promptly(&self, id: usize, read: &Read) -> Verdict {
        let idle = self.now - self.last_end(read.balance).unwrap_or(0).max(read.begun);
        if self.schedule.is_calm() && idle > TOLD_WITHIN {
            return Err(format!("read {id} waits for {idle} ms, and no read runs"));
        }
        Ok(())
    }

    /// A read does not wait for other replicas once its replica is disconnected from the store.
    pub(super) fn goes_alone_promptly(&self, id: usize, read: &Read) -> Verdict {
        let broke = self.disturbance.first_break_since(read.replica, read.begun);
        let is_frozen = self.schedule.steps.iter().any(|step| matches!(step.action, Action::Freeze(_)));
        match broke.map(|broke| self.now - broke).filter(|waited| *waited > SECOND && !is_frozen) {
            Some(waited) => Err(format!("read {id} still waits {waited} ms after its replica's link broke")),
            None => Ok(()),
        }
    }

    /// A caller is answered as soon as the read that it waits for has ended.
    pub(super) fn is_prompt(&self, caller: &Caller) -> Verdict {
        let balance = caller.call.balance;
        let runs = |read: &Read| read.balance == balance && read.first_call.is_some() && read.ended.is_none();
        let idle = self.now - self.last_end(balance).unwrap_or(0).max(caller.arrived);
        if self.schedule.is_calm() && !self.reads.iter().any(runs) && idle > TOLD_WITHIN {
            return Err(format!("a caller waits for {idle} ms, and no read runs"));
        }
        Ok(())
    }

    /// When the last read of a balance that called the provider ended.
    fn last_end(&self, balance: usize) -> Option<Ms> {
        let asked = self.reads.iter().filter(|read| read.balance == balance && read.first_call.is_some());
        // A read for a stream or a notification may retry after a pause.
        let pause = |read: &Read| if read.by.is_none() { SECOND } else { 0 };
        let end = |read: &Read| {
            let ended = read.ended?;
            Some(ended.at + ended.error.map_or(0, |_| pause(read)))
        };
        asked.filter_map(end).max()
    }

    /// The stored balance is the youngest one that a shared read brought.
    pub(super) fn is_youngest_stored(
        &mut self,
        id: usize,
        caller: &Caller,
        request: &Request,
        via: Via,
    ) -> Verdict {
        let is_elsewhere = self.reads[request.read].replica != caller.call.replica;
        // A read that ended while the caller waited may have been joined.
        let is_stored = request.replied.is_some_and(|replied| replied + TOLD_WITHIN < caller.arrived);
        if !self.schedule.is_calm() || !is_elsewhere || !is_stored || !matches!(via, Via::Read { .. }) {
            return Ok(());
        }
        self.tally.note(Seen::Stored);
        let is_younger = |other: &&Request| {
            self.reads[other.read].balance == caller.call.balance
                && other.brought.is_some()
                && other.replied.is_some_and(|replied| replied + TOLD_WITHIN < caller.arrived)
                && other.requested_at() > request.requested_at() + LOOK_UP
        };
        match self.requests.iter().find(is_younger) {
            Some(younger) => Err(format!(
                "caller {id} gets a stored balance of {} ms, although one of {} ms was stored",
                request.requested_at(),
                younger.requested_at()
            )),
            None => Ok(()),
        }
    }
}
