//! Questions to the cache.

use crate::domain::{BalanceKey, Demand, Limits};

/// One question to the cache.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The balance.
    pub key: BalanceKey,
    /// The freshness demand.
    pub demand: Demand,
    /// The balance's limits.
    pub limits: Limits,
}

/// The clock that a question refers to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Terms {
    /// This replica's clock: with a shared store, the store is asked first.
    OfThisReplica,
    /// The store's clock and order, after the store answered.
    OfTheStore,
}
