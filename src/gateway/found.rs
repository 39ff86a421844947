//! A balance that may be served, and how it was found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::Absence;
use crate::domain::{Limits, Moment, Snapshot};

/// A balance that may be served.
#[derive(Debug)]
pub struct Found {
    /// The balance.
    pub snapshot: Arc<Snapshot>,
    /// How it was found.
    pub via: Via,
}

/// How a balance was found, for `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// In the cache; if it is stale, the last read may have failed.
    Memory {
        /// Whether the last read failed or was refused.
        is_failing: bool,
    },
    /// It comes from a read.
    Read {
        /// Why the cached snapshot was not used.
        absence: Absence,
        /// Whether another caller started the read.
        is_collapsed: bool,
    },
    /// The last snapshot, because this caller's read failed, was refused or took too long.
    Fallback,
}

impl Found {
    /// Its age; `None` if it has expired.
    #[must_use]
    pub fn age(&self, limits: Limits, now: Moment) -> Option<Duration> {
        let age = self.snapshot.age_at(now);
        limits.max_age.allows(age).then_some(age)
    }

    /// The instant at which an answer of this age reaches the ceiling. By then the caller must have taken it.
    #[must_use]
    pub fn taken_by(&self, limits: Limits, age: Duration, now: Instant) -> Instant {
        let max_age = limits.max_age.get();
        let by_monotonic = self.snapshot.requested_at().monotonic + max_age;
        // A wall clock that stepped ahead makes a balance older.
        by_monotonic.min(now + max_age.saturating_sub(age))
    }
}
