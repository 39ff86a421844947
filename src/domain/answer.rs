//! How a read ended: a snapshot, or the reason there is none, with the moments that decide who may share it.

use std::sync::Arc;
use std::time::Instant;

use super::error::{RetryAfter, UpstreamError};
use super::freshness::Priority;
use super::snapshot::Snapshot;
use super::turn::{Ticket, Turn};

/// What a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// On whose behalf it is made.
    pub priority: Priority,
    /// What a read of another replica must be to do as well; `None` where only one of ours will.
    pub ticket: Option<Ticket>,
}

impl Order {
    /// A read of this replica alone.
    #[must_use]
    pub fn alone(priority: Priority) -> Self {
        Self { priority, ticket: None }
    }
}

/// How a read ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// On whose behalf it was made.
    pub priority: Priority,
    /// When its last attempt was sent; when it was refused, for a read that never left.
    pub sent_at: Instant,
    /// Its turn in the shared store's order, if it had one.
    pub turn: Option<Turn>,
    /// Whether another replica made it.
    pub is_elsewhere: bool,
    /// The snapshot, or why there is none.
    pub result: Result<Arc<Snapshot>, Failure>,
}

/// Why a read brought no snapshot, and what that means for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub error: UpstreamError,
    /// When it is worth asking again.
    pub retry_at: Option<Instant>,
    /// Whether nobody is asked before `retry_at`.
    pub is_held: bool,
}

impl Failure {
    /// A defect of ours; nothing is known of the provider.
    pub const DEFECT: Self = Self { error: UpstreamError::Defect, retry_at: None, is_held: false };

    /// Whether the provider must not be asked because of it.
    #[must_use]
    pub fn holds_at(&self, now: Instant) -> bool {
        self.is_held && self.retry_at.is_some_and(|retry_at| now < retry_at)
    }

    /// Whether we refused the read ourselves, so that the provider was not asked.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.error, UpstreamError::Busy | UpstreamError::Suspended | UpstreamError::BudgetExhausted)
    }

    /// The hint for the caller.
    #[must_use]
    pub fn retry_after(&self, now: Instant) -> Option<RetryAfter> {
        self.retry_at.map(|retry_at| RetryAfter::from_wait(retry_at.saturating_duration_since(now)))
    }
}
