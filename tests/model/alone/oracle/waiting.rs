//! What a waiting caller may get, and when it must get it.

use super::caller::{Candidate, Expected, SharedRead};
use super::reads::Failed;
use super::{Ms, Oracle, Point};
use crate::alone::clock::{self, SECOND};
use balance_gateway::domain::{ParseError, Priority, RetryAfter, UpstreamError};
use balance_gateway::gateway::{Refusal, Via};

/// The failure of a caller that waited for an answer that is too old by its `Age`.
const TOO_OLD: UpstreamError =
    UpstreamError::Invalid(ParseError { field: "Age", problem: "older than the request allows" });

/// The answer of a waiting caller.
struct Settled {
    get: Expected,
    /// Whether callers that come later get it, too.
    is_kept: bool,
}

impl Failed {
    /// The refusal with its `Retry-After`: whole seconds, at least one.
    pub(super) fn refusal(&self, mono: Ms) -> Refusal {
        let seconds = self.retry_at.map(|retry_at| (retry_at - mono + SECOND - 1) / SECOND);
        let whole = |seconds: Ms| RetryAfter::from_wait(clock::duration(seconds.max(1) * SECOND));
        Refusal::Failed(self.error, seconds.map(whole))
    }
}

impl Oracle {
    /// All answers that a waiting caller may get now.
    pub(super) fn allowed(&self, id: usize, now: Point) -> Vec<Expected> {
        let caller = &self.callers[&id];
        let mut allowed = Vec::new();
        let mut late_reads = caller.late_reads;
        for candidate in &caller.candidates {
            let settled = self.settled(id, *candidate, now);
            let waits_on = settled.is_none() || self.may_wait_on(id, candidate.version, now);
            late_reads += usize::from(waits_on && candidate.shared.is_some_and(|shared| shared.is_success));
            allowed.extend(settled.map(|settled| settled.get));
        }
        if now.mono >= caller.deadline {
            allowed.push(self.last_resort(id, now, Refusal::DeadlineExceeded));
        }
        // "Looked up again, once, then `provider_timeout`."
        if late_reads >= 2 {
            let refusal = Refusal::Failed(UpstreamError::Timeout, None);
            allowed.push(self.last_resort(id, now, refusal));
        }
        allowed
    }

    /// Offers the entry that a read stored to a waiting caller.
    pub(super) fn offer(&mut self, id: usize, version: usize, now: Point) {
        let caller = &self.callers[&id];
        let last = &self.reads[self.stores[&caller.request.place].entries[version - 1].last];
        let is_own = last.by == id && last.priority != Priority::Background;
        let shared = SharedRead { is_own, is_success: last.failed().is_none() };
        let may_share = last.joined_at().is_some_and(|joined_at| joined_at >= caller.pass.not_before);
        let candidate = Candidate { version, shared: may_share.then_some(shared), is_due: false };
        // A caller that began to wait in this same tick may have missed a result that is not kept.
        let was_there = caller.waits_since_before(self.now.tick) && last.begun < self.now.tick;
        let is_due = self
            .settled(id, candidate, now)
            .is_some_and(|settled| settled.is_kept || was_there && !self.may_wait_on(id, version, now));
        self.caller(id).candidates.push(Candidate { is_due, ..candidate });
    }

    /// The answer of a waiting caller after this entry was stored; `None` if it waits on.
    fn settled(&self, id: usize, candidate: Candidate, now: Point) -> Option<Settled> {
        let caller = &self.callers[&id];
        let entry = self.stores[&caller.request.place].entries[candidate.version - 1];
        if let Some((read, at)) = self.requested_at(entry)
            && caller.pass.accepts(at)
            && at.age_at(now) < caller.request.ages.latest_start()
        {
            let via = Via::Read {
                absence: caller.absence,
                is_collapsed: !candidate.shared.is_some_and(|shared| shared.is_own),
            };
            return Some(Settled { get: Expected::Served { read, via }, is_kept: true });
        }
        let last = &self.reads[entry.last];
        let failed = self.failed(entry);
        if let Some(failed) = failed.filter(|failed| failed.holds_at(now.mono)) {
            return Some(Settled { get: self.last_resort(id, now, failed.refusal(now.mono)), is_kept: true });
        }
        candidate.shared?;
        // The read was refused by a smaller share of the budget than this caller has.
        let is_for_others = last.priority < caller.priority();
        let refusal = match failed {
            Some(Failed { error: UpstreamError::BudgetExhausted, .. }) if is_for_others => return None,
            Some(failed) => failed.refusal(now.mono),
            // In this model, an answer is invalid only because of its `Age`.
            None if last.age() > 0 => Refusal::Failed(TOO_OLD, None),
            None => return None,
        };
        Some(Settled { get: self.last_resort(id, now, refusal), is_kept: false })
    }

    /// Whether an answer would have been too old even without its `Age`: then the caller may also wait on.
    fn may_wait_on(&self, id: usize, version: usize, now: Point) -> bool {
        let caller = &self.callers[&id];
        let entry = self.stores[&caller.request.place].entries[version - 1];
        let last = &self.reads[entry.last];
        let would_do =
            |sent: Point| caller.pass.accepts(sent) && sent.age_at(now) < caller.request.ages.latest_start();
        last.failed().is_none() && !last.sent.is_some_and(would_do)
    }
}
