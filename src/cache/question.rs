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

/// Whether a lookup has already read the shared store's order, and so chosen the judge of its demand.
#[derive(Clone, Copy, Debug)]
pub(super) enum StoreOrder {
    /// Not yet: the first round reads it, if there is a store.
    Unread,
    /// Read, or not needed. The demand is final.
    Read,
}
