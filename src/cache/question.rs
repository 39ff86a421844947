//! What is asked of the cache.

use crate::domain::{BalanceKey, Demand, Limits};

/// One question to the cache.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Which balance.
    pub key: BalanceKey,
    /// What the caller needs.
    pub demand: Demand,
    /// The balance's limits.
    pub limits: Limits,
}

/// In whose terms a question is put.
#[derive(Clone, Copy, Debug)]
pub(super) enum Terms {
    /// By this replica's clock: the store is asked first where replicas share.
    OfThisReplica,
    /// By the store's clock and numbers, where the store answered.
    OfTheStore,
}
