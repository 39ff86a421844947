//! The handles of one route, one caller and one provider. They are made once, so that counting is one addition.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::labels::{LimitPolicy, Operation, Outcome, ReadRefusal};
use crate::domain::ErrorKind;

/// The handles of one route; the counter of a status is created at its first use.
#[derive(Debug)]
pub struct RouteMetrics {
    pub(super) route: &'static str,
    pub(super) requests: IntCounterVec,
    pub(super) duration: Histogram,
    /// One counter for each status from 100 to 599.
    pub(super) by_status: [OnceLock<IntCounter>; 500],
}

impl RouteMetrics {
    /// Counts an answer with this status after this time.
    pub fn answered(&self, status: u16, seconds: f64) {
        self.duration.observe(seconds);
        let Some(place) = usize::from(status).checked_sub(100).and_then(|index| self.by_status.get(index))
        else {
            return;
        };
        place.get_or_init(|| self.requests.with_label_values(&[self.route, &status.to_string()])).inc();
    }
}

/// The handles of one caller.
#[derive(Debug)]
pub struct CallerMetrics {
    pub(super) rate_limited: [IntCounter; LimitPolicy::ALL.len()],
    pub(super) forced_reads: IntCounter,
}

impl CallerMetrics {
    /// Counts a request that this limit refused.
    pub fn limited(&self, policy: LimitPolicy) {
        self.rate_limited[policy as usize].inc();
    }

    /// Counts a unit of the forced limit.
    pub fn forced_read(&self) {
        self.forced_reads.inc();
    }
}

/// The handles of one provider.
#[derive(Debug)]
pub struct ProviderMetrics {
    pub(super) lookups: [IntCounter; Outcome::ALL.len()],
    pub(super) served_age: Histogram,
    pub(super) operations: [OperationMetrics; Operation::ALL.len()],
    pub(super) retries: IntCounter,
    pub(super) refused: [IntCounter; ReadRefusal::ALL.len()],
    pub(super) mismatch: IntCounter,
    pub(super) observed_at_unreadable: IntCounter,
}

#[derive(Debug)]
pub(super) struct OperationMetrics {
    pub(super) duration: Histogram,
    pub(super) errors: [IntCounter; ErrorKind::ALL.len()],
}

impl ProviderMetrics {
    /// Counts a lookup of a balance by its outcome.
    pub fn looked_up(&self, outcome: Outcome) {
        self.lookups[outcome as usize].inc();
    }

    /// Records the age of a served balance.
    pub fn served(&self, age: Duration) {
        self.served_age.observe(age.as_secs_f64());
    }

    /// Records one attempt, and why it failed, if it did.
    pub fn attempted(&self, operation: Operation, took: Duration, failed: Option<ErrorKind>) {
        let handles = &self.operations[operation as usize];
        handles.duration.observe(took.as_secs_f64());
        if let Some(kind) = failed {
            handles.errors[kind as usize].inc();
        }
    }

    /// Counts an attempt that repeats a failed one.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Counts a read that was refused without a call.
    pub fn refused(&self, reason: ReadRefusal) {
        self.refused[reason as usize].inc();
    }

    /// Counts an answer whose total is not the sum of its parts.
    pub fn mismatched(&self) {
        self.mismatch.inc();
    }

    /// Counts an answer without a readable timestamp.
    pub fn observed_at_unreadable(&self) {
        self.observed_at_unreadable.inc();
    }
}
