//! What one replica knows of an account, in case the store loses it.

use std::collections::VecDeque;
use std::time::Instant;

use super::clock::ClockWatch;
use crate::domain::StoreTime;

/// What this replica knows of the account itself, in case the store loses it.
#[derive(Default)]
pub(super) struct Known {
    /// The epoch as it was last seen.
    pub(super) epoch: String,
    /// Over which connection, and as how many things were untold, this was told to the store.
    pub(super) told: (u64, u64),
    /// Counts what the store may not know.
    pub(super) untold: u64,
    pub(super) clock: ClockWatch,
    /// The store's instant since when its clock may have been set, until an epoch that began later is known.
    pub(super) doubted_since: Option<StoreTime>,
    /// Calls of this replica, and until when each counts.
    pub(super) own: VecDeque<(String, Instant)>,
    /// Calls that are asked for just now.
    pub(super) asked_for: u32,
    /// How many calls of all replicas counted, and when the store said so.
    pub(super) counted: Option<(u32, Instant)>,
}
