//! Subscriptions to balances: a subscription receives every newer snapshot and every failure of a read.
//!
//! Each followed balance has one channel for all subscriptions. A subscription keeps only the newest event of each
//! balance, so the number of balances bounds its memory.

mod channel;
mod channels;
mod inbox;
mod report;
mod subscription;

pub(super) use channels::Channels;
pub use inbox::{Event, Inbox};
pub use report::Report;
pub use subscription::Subscription;
