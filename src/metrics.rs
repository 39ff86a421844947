//! Every metric of the gateway: a separate registry, handles made once, closed label sets.
//!
//! The prometheus crate finds children by a hash of the label values without a separator. Two pairs of values that
//! concatenate to the same text would share a child. So every second label is a closed set in which no member ends
//! with another, and families with free labels are built at scrape time (`samples.rs`).

mod caller;
mod error;
mod events;
mod handles;
mod http;
mod labels;
mod maker;
mod process;
mod provider;
mod registry;
mod sample;
mod samples;
mod shared;

pub use error::MetricsError;
pub use events::{HookMetrics, StreamMetrics};
pub use handles::{CallerMetrics, ProviderMetrics, RouteMetrics};
pub use labels::{
    AuthFailure, ConnectionRefusal, HookResult, Label, LimitPolicy, Operation, Outcome, ReadRefusal,
    ReloadResult, SharedError, SharedOperation,
};
pub use registry::Metrics;
pub use samples::{Family, Samples};
pub use shared::SharedMetrics;
