//! The families of callers' limits.

use prometheus::IntCounterVec;

use super::error::MetricsError;
use super::handles::CallerMetrics;
use super::labels::{Label, LimitPolicy};
use super::maker::Maker;
use crate::domain::CallerName;

/// The families of callers' limits.
#[derive(Debug)]
pub(super) struct CallerFamilies {
    rate_limited: IntCounterVec,
    forced_reads: IntCounterVec,
}

impl CallerFamilies {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            rate_limited: make.counters(
                "rate_limited_total",
                "Requests refused because of the caller's limits.",
                &["caller", "policy"],
            )?,
            forced_reads: make.counters(
                "forced_reads_total",
                "Units of the forced limit spent by a caller's demands.",
                &["caller"],
            )?,
        })
    }

    /// The handles of one caller.
    pub(super) fn caller(&self, caller: &CallerName) -> CallerMetrics {
        CallerMetrics {
            rate_limited: LimitPolicy::ALL
                .map(|policy| self.rate_limited.with_label_values(&[caller.as_str(), policy.as_str()])),
            forced_reads: self.forced_reads.with_label_values(&[caller.as_str()]),
        }
    }
}
