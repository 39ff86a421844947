//! Every metric of the gateway: an own registry, handles made once, closed label sets.
//!
//! prometheus looks children up by a hash of the label values without a separator, so two pairs of values that
//! concatenate to the same text would share a child. Every second label here is a closed set of which no member
//! ends in another, and what has free labels is made at scrape time (`live.rs`).

mod error;
mod events;
mod handles;
mod labels;
mod live;
mod maker;
mod process;
mod registry;
mod shared;

pub use error::MetricsError;
pub use events::{HookMetrics, StreamMetrics};
pub use handles::{CallerMetrics, ProviderMetrics, RouteMetrics};
pub use labels::{
    AuthFailure, ConnectionRefusal, HookResult, Label, LimitPolicy, Operation, Outcome, ReadRefusal,
    ReloadResult, SharedError, SharedOperation,
};
pub use live::{Family, Samples};
pub use registry::Metrics;
pub use shared::SharedMetrics;
