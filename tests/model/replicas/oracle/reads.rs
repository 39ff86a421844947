//! The reads of the replicas, and the calls that the provider receives.

use super::tally::Seen;
use super::{Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::chance::{CALM_DELAY, DEADLINE};
use crate::replicas::schedule::{Action, Step};
use balance_gateway::domain::{Priority, UpstreamError};

/// The longest time of a look-up in a calm network: three round trips if the store must load the script, plus a margin.
pub(super) const LOOK_UP: Ms = 10 * CALM_DELAY.cast_signed();

/// A read that a replica began: it makes calls itself, or waits for another replica's read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// The caller; `None` for a stream or a notification.
    pub(super) by: Option<usize>,
    pub(super) replica: usize,
    pub(super) balance: usize,
    pub(super) priority: Priority,
    pub(super) begun: Ms,
    /// Its first call. `None` if it only waits for another replica's read.
    pub(super) first_call: Option<usize>,
    pub(super) ended: Option<Ended>,
    /// Whether the store gave the read its number; known when the read ends.
    pub(super) is_leased: bool,
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

    /// Whether this read may have been granted a call that has not yet reached the provider.
    pub(super) fn has_just_begun(&self, read: &Read) -> bool {
        read.ended.is_none() && read.first_call.is_none() && self.now - read.begun < LOOK_UP
    }

    /// A read has ended. Its number says whether the replicas shared it.
    pub(super) fn finish(&mut self, id: usize, number: Option<u64>, error: Option<UpstreamError>) -> Verdict {
        self.reads[id].ended = Some(Ended { at: self.now, error });
        let is_own = self.reads[id].first_call.is_some();
        let is_known = self.reads[id].by.is_some();
        if (self.schedule.is_calm() || self.schedule.only_sets_the_stores_clock())
            && is_known
            && is_own
            && number.is_none()
            && error != Some(UpstreamError::Defect)
            && !self.has_waited_in_vain(id)
        {
            return Err(format!("read {id} is not shared, although no message is lost"));
        }
        self.takes_no_lease_in_vain(id, number, error)?;
        self.reads[id].is_leased = is_own && number.is_some();
        self.has_lease_alone(id)?;
        if is_own && is_known {
            self.tally.note(if number.is_some() { Seen::SharedRead } else { Seen::LonelyRead });
        }
        Ok(())
    }

    /// Whether a read waited for four reads of other replicas, and an invalidation overtook each of them.
    fn has_waited_in_vain(&self, id: usize) -> bool {
        let Read { replica, balance, begun, first_call, .. } = self.reads[id];
        let Some(called) = first_call.map(|call| self.requests[call].at) else { return false };
        let is_awaited = |it: &&Request| {
            let other = &self.reads[it.read];
            (other.replica != replica, other.balance) == (true, balance)
                && it.replied.is_some_and(|at| begun <= at && at <= called)
        };
        let awaited = || self.requests.iter().filter(is_awaited);
        let is_good =
            |it: &Request| it.brought.is_some() && it.at > begun && !self.is_invalidated_between(it, called);
        awaited().count() >= 4 && !awaited().any(is_good)
    }

    /// While the store loses no data, a balance has at most one lease at a time.
    fn has_lease_alone(&self, id: usize) -> Verdict {
        let keeps_leases = |step: &Step| {
            matches!(
                step.action,
                Action::Call(_) | Action::Poll { .. } | Action::Invalidate { .. } | Action::Weather { .. }
            )
        };
        let read = &self.reads[id];
        let first_call_at = |read: &Read| read.first_call.map(|call| self.requests[call].at);
        let Some(begun) = first_call_at(read).filter(|_| read.is_leased) else { return Ok(()) };
        // A lease that no replica ends expires after one deadline.
        let is_beside = |other: &Read| {
            other.is_leased
                && (other.balance, other.replica != read.replica) == (read.balance, true)
                && first_call_at(other).is_some_and(|at| at < self.now && (begun - at).abs() < DEADLINE)
                && other.ended.is_some_and(|ended| begun < ended.at)
        };
        match self.reads.iter().position(is_beside) {
            Some(other) if self.schedule.steps.iter().all(keeps_leases) => {
                Err(format!("read {id} got a lease while read {other} had one"))
            }
            _ => Ok(()),
        }
    }

    /// A replica whose own breaker is open leaves the read to others: it takes no number.
    fn takes_no_lease_in_vain(
        &mut self,
        id: usize,
        number: Option<u64>,
        error: Option<UpstreamError>,
    ) -> Verdict {
        let Read { replica, begun, first_call, .. } = self.reads[id];
        let is_own_number = number.is_some_and(|number| self.numbers.insert(number));
        let is_open = [&self.breaker, &self.own_breakers[replica]]
            .into_iter()
            .any(|breaker| breaker.is_open_for(begun, self.now));
        let is_refused = error == Some(UpstreamError::Suspended) && first_call.is_none();
        if self.schedule.is_calm() && is_own_number && is_refused && is_open {
            return Err(format!("read {id} takes a lease, although its breaker is open"));
        }
        Ok(())
    }

    pub(super) fn request(&mut self, call: usize, id: usize) -> Verdict {
        assert_eq!(call, self.requests.len(), "calls come in order");
        let read = self.reads[id];
        let opened = self.breaker.opened().unwrap_or(0);
        let probes =
            self.requests.iter().filter(|other| other.at > opened + LOOK_UP && other.replied.is_none());
        self.breaker.may_call(self.now, self.schedule, probes.count())?;
        if read.first_call.is_none() {
            self.may_ask(id, &read)?;
            self.begins_promptly(id, &read)?;
            self.goes_alone_promptly(id, &read)?;
            self.takes_failure_of_another(id, &read)?;
            if self.schedule.is_calm() {
                self.begin_calmly(id, &read)?;
            }
            self.reads[id].first_call = Some(call);
        }
        if read.by.is_none() {
            self.may_read_behind(read.balance)?;
        }
        self.requests.push(Request { read: id, at: self.now, replied: None, brought: None });
        self.within_budget()
    }

    /// A demand for a new read shares one that began after the demand came, at whichever replica.
    fn begin_calmly(&self, id: usize, read: &Read) -> Verdict {
        let runs = |it: &Read| it.ended.is_none() && it.first_call.is_some() && it.balance == read.balance;
        if self.reads.iter().any(runs) {
            return Err(format!("read {id} runs beside another one, although no message is lost"));
        }
        let Some(by) = read.by.filter(|_| read.priority == Priority::Demanded) else { return Ok(()) };
        let arrived = self.callers[&by].arrived;
        if self.reads.iter().any(|read| read.by.is_none()) {
            return Ok(());
        }
        let max_age = self.schedule.ages.max_age;
        let would_do = self.requests.iter().position(|request| {
            let its_read = &self.reads[request.read];
            // If this replica's clock is ahead of the reading replica's clock, the balance looks older.
            let ahead = self.schedule.skews[read.replica] - self.schedule.skews[its_read.replica];
            let is_young = request.brought.as_ref().is_some_and(|(_, age)| *age == 0);
            // The store orders reads, not calls: a retry after an invalidation still has the read's earlier number.
            let first = its_read.first_call.map(|first| &self.requests[first]);
            its_read.balance == read.balance
                && first.is_some_and(|it| it.at > arrived + LOOK_UP && !self.is_invalidated_after(it))
                && is_young
                && self.now - request.at + ahead.max(0) + SECOND < max_age
        });
        match would_do {
            Some(call) => Err(format!("read {id} of caller {by}: call {call} is good enough")),
            None => Ok(()),
        }
    }

    /// Whether an invalidation, or a notification, came while this call ran or before `until`.
    pub(super) fn is_invalidated_between(&self, call: &Request, until: Ms) -> bool {
        let balance = self.reads[call.read].balance;
        let is_overtaking = |at: Ms| call.at <= at + LOOK_UP && at <= until;
        self.streams.notified.iter().any(|at| is_overtaking(*at))
            || self.invalidations.iter().any(|it| it.balance == balance && is_overtaking(it.at))
    }

    /// A caller that waits for a call which an invalidation overtakes needs one more.
    fn is_invalidated_after(&self, request: &Request) -> bool {
        let balance = self.reads[request.read].balance;
        let is_notified = self.streams.is_notified_after(request.at);
        is_notified
            || self.invalidations.iter().any(|it| it.balance == balance && it.at + LOOK_UP >= request.at)
    }
}
