//! The cache entry of one balance: the last snapshot, and the result of the last read. Time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::question::Question;
use crate::domain::{Answer, Demand, Failure, Moment, ParseError, Priority, Snapshot, Turn, UpstreamError};
use crate::trace::ReadTrace;

/// The error for waiters whose answer is too old by its own `Age`.
const TOO_OLD: Failure = Failure {
    error: UpstreamError::Invalid(ParseError { field: "Age", problem: "older than what was asked for" }),
    retry_at: None,
    is_held: false,
    was_called: true,
};

#[derive(Debug)]
pub(super) struct Entry {
    /// The youngest snapshot so far; a failed read carries it forward.
    snapshot: Option<Arc<Snapshot>>,
    last: LastRead,
    /// Whether a background refresh runs; cleared when it ends in any way.
    is_refreshing: AtomicBool,
    /// Whether the credentials changed after a read failed because of them.
    is_refusal_forgotten: AtomicBool,
    /// When the credentials had last changed as the read began.
    credentials_changed_at: Option<Instant>,
    /// The span of the last read, for links from its waiters.
    trace: Option<ReadTrace>,
}

#[derive(Clone, Copy, Debug)]
struct LastRead {
    priority: Priority,
    sent_at: Instant,
    turn: Option<Turn>,
    /// Whether another replica made it.
    is_elsewhere: bool,
    failure: Option<Failure>,
    /// Whether its answer carried an `Age`, so that it was older than its request.
    has_age: bool,
}

/// A running background refresh. Dropping it allows the next one.
#[derive(Debug)]
pub(super) struct Refreshing(Arc<Entry>);

impl Refreshing {
    /// The turn of the snapshot that the refresh replaces, if it has one.
    pub(super) fn stale_turn(&self) -> Option<Turn> {
        self.0.snapshot.as_ref()?.turn()
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.is_refreshing.store(false, Ordering::Relaxed);
    }
}

impl Entry {
    /// The entry after a read for this demand, which ended now. `before` is the previous entry.
    pub(super) fn after(before: Option<&Self>, answer: Answer, demand: Option<&Demand>, now: Moment) -> Self {
        let Answer { priority, sent_at, turn, is_elsewhere, result } = answer;
        let (brought, failure) = match result {
            Ok(snapshot) => (Some(snapshot), None),
            Err(failure) => (None, Some(failure)),
        };
        let has_age = brought.as_ref().is_some_and(|brought| brought.requested_at().monotonic < sent_at);
        let age = |snapshot: &Arc<Snapshot>| snapshot.requested_at().age_at(now);
        let snapshot = match (before.and_then(|entry| entry.snapshot.clone()), brought) {
            // Without an Age it is the youngest, whatever a wall clock did meanwhile; unless another replica read it
            // before, which the store's order tells.
            (Some(carried), Some(brought)) if has_age && age(&carried) < age(&brought) => Some(carried),
            (Some(carried), Some(brought)) if is_behind(&brought, &carried) => Some(carried),
            // Read later by another replica, but older by the `Age` of its answer: it counts only where it is demanded.
            (Some(carried), Some(brought))
                if is_elsewhere
                    && is_of_earlier_instant(&brought, &carried)
                    && age(&carried) < age(&brought)
                    && !demand.is_some_and(|demand| is_accepted(demand, &brought)) =>
            {
                Some(carried)
            }
            // Read alone while the store was unavailable, and younger than another replica's snapshot.
            (Some(carried), Some(brought))
                if is_elsewhere
                    && carried.turn().is_none()
                    && age(&carried) < age(&brought)
                    && demand.is_some_and(|demand| is_accepted(demand, &carried)) =>
            {
                Some(carried)
            }
            (carried, brought) => brought.or(carried),
        };
        Self {
            snapshot,
            last: LastRead { priority, sent_at, turn, is_elsewhere, failure, has_age },
            is_refreshing: AtomicBool::new(false),
            is_refusal_forgotten: AtomicBool::new(false),
            credentials_changed_at: None,
            trace: None,
        }
    }

    /// The entry with this snapshot in place of its own.
    pub(super) fn with_snapshot(self, snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot: Some(snapshot), ..self }
    }

    /// The entry with the span of its read.
    pub(super) fn with_trace(self, trace: Option<ReadTrace>) -> Self {
        Self { trace, ..self }
    }

    /// The span of the last read, if it is traced.
    pub(super) fn trace(&self) -> Option<&ReadTrace> {
        self.trace.as_ref()
    }

    /// Forgets a failure because of refused credentials: they have changed.
    pub(super) fn forget_refusal(&self) {
        self.is_refusal_forgotten.store(true, Ordering::Release);
    }

    /// The entry of a read that began when the credentials had last changed at this instant.
    pub(super) fn begun_under(self, credentials_changed_at: Option<Instant>) -> Self {
        Self { credentials_changed_at, ..self }
    }

    /// Whether the credentials have not changed since the read began. Comparing instants is not enough: a read may
    /// begin at the instant of the change.
    pub(super) fn began_under(&self, credentials_changed_at: Option<Instant>) -> bool {
        self.credentials_changed_at == credentials_changed_at
    }

    pub(super) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// A snapshot of this replica alone that stayed, though another replica brought an older one.
    pub(super) fn kept_alone(&self) -> Option<&Arc<Snapshot>> {
        let has_brought = self.last.is_elsewhere && self.last.failure.is_none();
        self.snapshot.as_ref().filter(|snapshot| has_brought && snapshot.turn().is_none())
    }

    /// The latest turn of the snapshot and the last read: a look-up after it must find a later one.
    pub(super) fn latest_turn(&self) -> Option<Turn> {
        let of_snapshot = self.snapshot.as_ref().and_then(|snapshot| snapshot.turn());
        let of_read = self.last.turn.filter(|_| self.last.is_elsewhere && self.last.failure.is_none());
        of_snapshot.into_iter().chain(of_read).max_by_key(|turn| turn.number)
    }

    /// Whether another replica made the last read.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.last.is_elsewhere
    }

    /// How the last read failed, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        let is_forgotten = self.is_refusal_forgotten.load(Ordering::Acquire);
        self.last.failure.filter(|failure| !(is_forgotten && failure.error == UpstreamError::Refused))
    }

    /// The answer without a read: an acceptable snapshot, or a held failure.
    pub(super) fn settled(&self, question: &Question, now: Moment) -> Option<Result<Arc<Snapshot>, Failure>> {
        let within = |snapshot: &&Arc<Snapshot>| {
            question.demand.accepts(snapshot.requested_at(), snapshot.turn())
                && question.limits.max_age.allows(snapshot.age_at(now))
        };
        if let Some(snapshot) = self.snapshot.as_ref().filter(within) {
            return Some(Ok(Arc::clone(snapshot)));
        }
        self.failure().filter(|failure| failure.holds_at(now.monotonic)).map(Err)
    }

    /// The answer for a caller that waited for this entry; `None` means one more round.
    pub(super) fn judge(
        &self,
        question: &Question,
        priority: Priority,
        now: Moment,
    ) -> Option<Result<Arc<Snapshot>, Failure>> {
        if let Some(settled) = self.settled(question, now) {
            return Some(settled);
        }
        if !question.demand.may_join(self.last.sent_at, self.last.turn) {
            return None;
        }
        // Callers that waited for this read get its refusal, also where later callers no longer do.
        match self.last.failure {
            // Refused at a smaller share of the budget than this caller may use.
            Some(failure)
                if failure.error == UpstreamError::BudgetExhausted && self.last.priority < priority =>
            {
                None
            }
            Some(failure) => Some(Err(failure)),
            // It expired before it could be served, or a wall clock moved meanwhile.
            None if !self.last.has_age => None,
            None => {
                let snapshot = self.snapshot.as_ref()?;
                let since_sent = now.monotonic.saturating_duration_since(self.last.sent_at);
                let is_too_old = question.limits.max_age.allows(since_sent)
                    || !question.demand.accepts(snapshot.requested_at(), snapshot.turn());
                is_too_old.then_some(Err(TOO_OLD))
            }
        }
    }

    /// Begins a background refresh; `None` if one runs, is not needed, or is deferred by a failure.
    pub(super) fn begin_refresh(self: Arc<Self>, question: &Question, now: Moment) -> Option<Refreshing> {
        let is_wanted = self.needs_read(question, Priority::Background, now);
        // Created only with the flag set: dropping it clears the flag.
        (is_wanted && !self.is_refreshing.swap(true, Ordering::Relaxed)).then(|| Refreshing(self))
    }

    /// Whether the question needs a read. For a read without a waiting caller, a failure that is not held also defers
    /// the next try.
    pub(super) fn needs_read(&self, question: &Question, priority: Priority, now: Moment) -> bool {
        let retry_at = self.failure().and_then(|failure| failure.retry_at);
        let is_worth_it = retry_at.is_none_or(|retry_at| retry_at <= now.monotonic);
        (is_worth_it || priority > Priority::Background) && self.settled(question, now).is_none()
    }
}

/// Whether a snapshot is not later than another in the shared store's order. The same snapshot found again does not get
/// younger when a clock is set back.
fn is_behind(snapshot: &Snapshot, other: &Snapshot) -> bool {
    snapshot.turn().zip(other.turn()).is_some_and(|(turn, other)| turn.number <= other.number)
}

/// Whether a snapshot is older than another by the shared store's clock.
fn is_of_earlier_instant(snapshot: &Snapshot, other: &Snapshot) -> bool {
    snapshot.turn().zip(other.turn()).is_some_and(|(turn, other)| turn.instant < other.instant)
}

fn is_accepted(demand: &Demand, snapshot: &Snapshot) -> bool {
    demand.accepts(snapshot.requested_at(), snapshot.turn())
}
