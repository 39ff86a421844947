//! The answer from the cache alone: the path of a hit.

use std::sync::Arc;

use super::balance_cache::BalanceCache;
use super::question::Question;
use crate::domain::{Demand, Failure, Snapshot};

/// The answer from the cache alone.
#[derive(Debug)]
pub enum Peek {
    /// An acceptable snapshot, younger than `fresh_for`.
    Fresh(Arc<Snapshot>),
    /// An acceptable stale snapshot; a refresh should run.
    Stale {
        /// The snapshot.
        snapshot: Arc<Snapshot>,
        /// Whether the last read failed or was refused.
        is_failing: bool,
    },
    /// No acceptable snapshot.
    Absent {
        /// The reason.
        absence: Absence,
        /// The failure that is held now.
        held: Option<Failure>,
    },
}

/// Why the cache has no acceptable snapshot: the `fwd` reasons of RFC 9211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Nothing is stored.
    UriMiss,
    /// The stored snapshot has expired or was invalidated.
    Stale,
    /// The stored snapshot is acceptable only without a demand.
    Request,
}

impl BalanceCache {
    /// Answers from the cache alone: starts no read and waits for none.
    pub async fn peek(&self, question: &Question) -> Peek {
        let question = &self.by_store_clock(*question);
        let mark = self.marks.get(&question.key, question.demand.arrived().monotonic);
        let latest = match self.latest.get(&question.key) {
            Some(entry) => Some(entry),
            None => self.entries.get(&question.key).await,
        };
        let Some(entry) = latest else {
            return Peek::Absent { absence: Absence::UriMiss, held: None };
        };
        let Question { demand, limits, .. } = question;
        let held = entry.failure().filter(|failure| failure.holds_at(demand.arrived().monotonic));
        let Some(snapshot) = entry.snapshot() else {
            return Peek::Absent { absence: Absence::UriMiss, held };
        };
        let (requested_at, turn) = (snapshot.requested_at(), snapshot.turn());
        let is_within = limits.max_age.allows(snapshot.age_at(demand.arrived()));
        if demand.after_mark(mark).accepts(requested_at, turn) && is_within {
            let snapshot = Arc::clone(snapshot);
            return if requested_at.age_at(demand.arrived()) < limits.fresh_for.get() {
                Peek::Fresh(snapshot)
            } else {
                Peek::Stale { snapshot, is_failing: entry.failure().is_some() }
            };
        }
        let without_demand = Demand::none(demand.arrived(), *limits).after_mark(mark);
        let is_acceptable_without_demand = without_demand.accepts(requested_at, turn) && is_within;
        Peek::Absent {
            absence: if is_acceptable_without_demand { Absence::Request } else { Absence::Stale },
            held,
        }
    }
}
