//! The cache entry of one balance: the last snapshot, and the result of the last read. Time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::question::Question;
use crate::domain::{Answer, Demand, Failure, Moment, ParseError, Priority, Snapshot, Turn, UpstreamError};
use crate::trace::ReadTrace;

/// The failure of waiters when the answer's own `Age` makes it too old for them.
const TOO_OLD: Failure = Failure {
    error: UpstreamError::Invalid(ParseError { field: "Age", problem: "older than the request allows" }),
    retry_at: None,
    is_held: false,
    was_called: true,
};

#[derive(Debug)]
pub(super) struct Entry {
    /// The youngest snapshot so far; a failed read carries it forward.
    snapshot: Option<Arc<Snapshot>>,
    last: LastRead,
    /// Whether a background refresh runs; cleared however the refresh ends.
    is_refreshing: AtomicBool,
    /// Whether a failure because of refused credentials no longer counts, because they have changed since.
    is_refusal_forgotten: AtomicBool,
    /// The last change of the credentials when the read began.
    credentials_changed_at: Option<Instant>,
    /// The span of the last read, for links from its waiters.
    trace: Option<ReadTrace>,
}

#[derive(Clone, Copy, Debug)]
struct LastRead {
    priority: Priority,
    sent_at: Instant,
    turn: Option<Turn>,
    /// Whether another replica made the read.
    is_from_other_replica: bool,
    failure: Option<Failure>,
    /// Whether the `Age` of its answer made the snapshot older than the request.
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
        let Answer { priority, sent_at, turn, is_from_other_replica, result } = answer;
        let (new, failure) = match result {
            Ok(snapshot) => (Some(snapshot), None),
            Err(failure) => (None, Some(failure)),
        };
        let has_age = new.as_ref().is_some_and(|new| new.requested_at().monotonic < sent_at);
        let age = |snapshot: &Arc<Snapshot>| snapshot.requested_at().age_at(now);
        let snapshot = match (before.and_then(|entry| entry.snapshot.clone()), new) {
            // The `Age` of the new answer makes it older than the stored snapshot. An answer without an `Age` is the
            // younger one, even if a wall clock stepped during the read.
            (Some(stored), Some(new)) if has_age && age(&stored) < age(&new) => Some(stored),
            // By the store's order, the new one was not read later than the stored one.
            (Some(stored), Some(new)) if is_not_later(&new, &stored) => Some(stored),
            // Another replica read the new one later, but the `Age` of its answer makes it older. It replaces the
            // stored one only if the demand accepts it.
            (Some(stored), Some(new))
                if is_from_other_replica
                    && is_of_earlier_instant(&new, &stored)
                    && age(&stored) < age(&new)
                    && !demand.is_some_and(|demand| is_accepted(demand, &new)) =>
            {
                Some(stored)
            }
            // This replica read the stored one alone while the store was unavailable, and it is younger than the new
            // one of another replica.
            (Some(stored), Some(new))
                if is_from_other_replica
                    && stored.turn().is_none()
                    && age(&stored) < age(&new)
                    && demand.is_some_and(|demand| is_accepted(demand, &stored)) =>
            {
                Some(stored)
            }
            (stored, new) => new.or(stored),
        };
        Self {
            snapshot,
            last: LastRead { priority, sent_at, turn, is_from_other_replica, failure, has_age },
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

    /// The entry with the last change of the credentials when its read began.
    pub(super) fn with_credentials_changed_at(self, credentials_changed_at: Option<Instant>) -> Self {
        Self { credentials_changed_at, ..self }
    }

    /// Whether the credentials are unchanged since the read began: their last change is still the same. Comparing it
    /// with the start of the read is not enough, because both can have the same instant.
    pub(super) fn has_same_credentials(&self, credentials_changed_at: Option<Instant>) -> bool {
        self.credentials_changed_at == credentials_changed_at
    }

    pub(super) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The snapshot that this replica read alone, if it was kept when another replica's read brought an older one.
    pub(super) fn kept_alone(&self) -> Option<&Arc<Snapshot>> {
        let was_read_elsewhere = self.last.is_from_other_replica && self.last.failure.is_none();
        self.snapshot.as_ref().filter(|snapshot| was_read_elsewhere && snapshot.turn().is_none())
    }

    /// The later turn of the snapshot and of the last read. Another look-up in the store must find a still later one.
    pub(super) fn latest_turn(&self) -> Option<Turn> {
        let of_snapshot = self.snapshot.as_ref().and_then(|snapshot| snapshot.turn());
        let of_read =
            self.last.turn.filter(|_| self.last.is_from_other_replica && self.last.failure.is_none());
        of_snapshot.into_iter().chain(of_read).max_by_key(|turn| turn.number)
    }

    /// Whether another replica made the last read.
    pub(super) fn is_from_other_replica(&self) -> bool {
        self.last.is_from_other_replica
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
        // Waiters of this read get its failure, even if it is already forgotten for later callers.
        match self.last.failure {
            // The read was refused at a smaller share of the budget than this caller may use.
            Some(failure)
                if failure.error == UpstreamError::BudgetExhausted && self.last.priority < priority =>
            {
                None
            }
            Some(failure) => Some(Err(failure)),
            // The snapshot expired before it could be served, or a wall clock stepped during the read.
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

    /// Whether the question needs a read. A background read also waits for the `retry_at` of a failure that is not
    /// held.
    pub(super) fn needs_read(&self, question: &Question, priority: Priority, now: Moment) -> bool {
        let retry_at = self.failure().and_then(|failure| failure.retry_at);
        let is_worth_it = retry_at.is_none_or(|retry_at| retry_at <= now.monotonic);
        (is_worth_it || priority > Priority::Background) && self.settled(question, now).is_none()
    }
}

/// Whether a snapshot is at or before another in the shared store's order. So the same snapshot, found in the store
/// again, does not look younger after a clock was set back.
fn is_not_later(snapshot: &Snapshot, other: &Snapshot) -> bool {
    snapshot.turn().zip(other.turn()).is_some_and(|(turn, other)| turn.number <= other.number)
}

/// Whether a snapshot is older than another by the shared store's clock.
fn is_of_earlier_instant(snapshot: &Snapshot, other: &Snapshot) -> bool {
    snapshot.turn().zip(other.turn()).is_some_and(|(turn, other)| turn.instant < other.instant)
}

fn is_accepted(demand: &Demand, snapshot: &Snapshot) -> bool {
    demand.accepts(snapshot.requested_at(), snapshot.turn())
}
