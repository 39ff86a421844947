//! The cache of balances: one code path for hit, miss, expired, forced, invalidated and background refresh.

mod balance_cache;
mod entry;
mod latest;
mod listeners;
mod marks;
mod peek;
mod question;
mod read;
mod replicas;

pub use balance_cache::BalanceCache;
pub use listeners::Listener;
pub use peek::{Absence, Peek};
pub use question::Question;
pub use read::Read;

pub use crate::shared::Claim;
