//! Following balances: a subscription hears of every newer snapshot and of failed reads, whatever read brought them.
//!
//! Each followed balance has one channel, however many subscriptions follow it. A subscription keeps the newest of each
//! balance and no queue, so its memory is bounded by the number of its balances.

mod channel;
mod channels;
mod inbox;
mod report;
mod subscription;

pub(super) use channels::Channels;
pub use inbox::{Event, Inbox};
pub use report::Report;
pub use subscription::Subscription;
