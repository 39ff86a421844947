//! One replica's knowledge of an account, in case the store loses it.

use std::collections::VecDeque;
use std::time::Instant;

use super::clock::ClockWatch;
use crate::domain::StoreTime;

/// The store's clock may have been set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClockDoubt {
    /// The instant of the last answer before, by the clock as it is now.
    pub(super) since: StoreTime,
    /// The epoch that this replica knew then.
    pub(super) epoch: String,
}

/// This replica's knowledge of the account, in case the store loses it.
#[derive(Default)]
pub(super) struct KnownState {
    /// The last seen epoch.
    pub(super) epoch: String,
    /// (Connection generation, number of pending updates) at the last sync with the store.
    pub(super) synced: (u64, u64),
    /// The number of updates that the store may not know.
    pub(super) pending: u64,
    pub(super) clock: ClockWatch,
    /// Whether the store's clock may have been set. Cleared once a script has received it.
    pub(super) doubt: Option<ClockDoubt>,
    /// Calls of this replica, each with the instant until which it counts.
    pub(super) own: VecDeque<(String, Instant)>,
    /// The number of calls that are being requested from the store.
    pub(super) requesting: u32,
    /// The number of counted calls of all replicas, and the time of that answer.
    pub(super) counted: Option<(u32, Instant)>,
}
