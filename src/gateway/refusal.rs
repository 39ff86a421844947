//! Reasons for serving no balance.

use crate::domain::{RetryAfter, UpstreamError};

/// Why no balance is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account or provider is disabled.
    Disabled,
    /// No acceptable snapshot in the cache, and the caller allows no read.
    NotCached,
    /// The caller's own deadline passed first.
    DeadlineExceeded,
    /// The caller's forced limit is used up.
    ForcedLimit(RetryAfter),
    /// The read failed, or was refused.
    Failed(UpstreamError, Option<RetryAfter>),
}
