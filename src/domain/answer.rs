//! The result of a read: a snapshot or a failure, with the moments that decide which callers may share it.

use std::sync::Arc;
use std::time::Instant;

use super::error::{RetryAfter, UpstreamError};
use super::freshness::{Demand, Priority};
use super::snapshot::Snapshot;
use super::turn::{Ticket, Turn};

/// A request for a read: its purpose and the demand that it serves.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// Its priority.
    pub priority: Priority,
    /// The lowest acceptable turn for a read of another replica; `None` if only this replica may read.
    pub ticket: Option<Ticket>,
    /// The demand that an answer for another balance must meet to be shared; `None` accepts only a new read.
    pub demand: Option<Demand>,
}

impl ReadRequest {
    /// A read of this replica alone.
    #[must_use]
    pub fn alone(priority: Priority) -> Self {
        Self { priority, ticket: None, demand: None }
    }
}

/// The result of a read.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its priority.
    pub priority: Priority,
    /// When its last attempt was sent; for a refused read, when it was refused.
    pub sent_at: Instant,
    /// Its turn in the shared store's order, if it had one.
    pub turn: Option<Turn>,
    /// Whether another replica made the read.
    pub is_from_other_replica: bool,
    /// The snapshot, or why the read failed.
    pub result: Result<Arc<Snapshot>, Failure>,
}

/// Why a read failed, and when the next read may be useful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub error: UpstreamError,
    /// When the next read may be useful.
    pub retry_at: Option<Instant>,
    /// Whether no call is made before `retry_at`.
    pub is_held: bool,
    /// Whether the read sent a call; false if it was refused before that.
    pub was_called: bool,
}

impl Failure {
    /// Our own defect; it says nothing about the provider.
    pub const DEFECT: Self =
        Self { error: UpstreamError::Defect, retry_at: None, is_held: false, was_called: true };

    /// Whether this failure still forbids a call.
    #[must_use]
    pub fn holds_at(&self, now: Instant) -> bool {
        self.is_held && self.retry_at.is_some_and(|retry_at| now < retry_at)
    }

    /// Whether we refused the read ourselves, without a call.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.error,
            UpstreamError::Busy
                | UpstreamError::Suspended
                | UpstreamError::BudgetExhausted
                | UpstreamError::OutOfFiles
        )
    }

    /// Whether the read caused no call: this process refused it, or a hold did.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.is_refusal() || !self.was_called
    }

    /// `Retry-After` for the caller.
    #[must_use]
    pub fn retry_after(&self, now: Instant) -> Option<RetryAfter> {
        self.retry_at.map(|retry_at| RetryAfter::from_wait(retry_at.saturating_duration_since(now)))
    }
}
