//! Why no balance is served.

use crate::domain::{RetryAfter, UpstreamError};

/// Why no balance is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Account or provider switched off.
    Disabled,
    /// Nothing acceptable in memory, and the caller wants nobody asked.
    NotCached,
    /// The caller's own deadline passed first.
    DeadlineExceeded,
    /// The caller's limit of forced reads.
    ForcedLimit(RetryAfter),
    /// The read failed, or was refused.
    Failed(UpstreamError, Option<RetryAfter>),
}
