//! The settings of one limit of a caller.

use std::time::Duration;

/// A rate with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// New units in each `per`; above zero.
    pub requests: u32,
    /// The time in which `requests` new units become available.
    pub per: Duration,
    /// Most units at once; above zero.
    pub burst: u32,
}

impl LimitSettings {
    /// The local share of one replica: rounded down, at least one.
    #[must_use]
    pub fn local_share(self, replicas: u32) -> Self {
        let divide = |whole: u32| (whole / replicas.max(1)).max(1);
        Self { requests: divide(self.requests), burst: divide(self.burst), ..self }
    }
}
