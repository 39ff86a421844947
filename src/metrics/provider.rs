//! The families of balances and of the calls to providers.

use std::sync::Arc;

use prometheus::{HistogramVec, IntCounterVec};

use super::error::MetricsError;
use super::handles::{OperationMetrics, ProviderMetrics};
use super::labels::{Label, Operation, Outcome, ReadRefusal};
use super::maker::Maker;
use crate::domain::{ErrorKind, ProviderName};

/// From a nearby provider to the longest sensible attempt.
const UPSTREAM_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// The last finite bucket is the 60-second promise: any age above it breaks the promise.
const AGE_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0];

/// The families of balances and of the calls to providers.
#[derive(Debug)]
pub(super) struct ProviderFamilies {
    cache_lookups: IntCounterVec,
    served_age: HistogramVec,
    duration: HistogramVec,
    errors: IntCounterVec,
    retries: IntCounterVec,
    reads_refused: IntCounterVec,
    mismatch: IntCounterVec,
    observed_at_unreadable: IntCounterVec,
}

impl ProviderFamilies {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            cache_lookups: make.counters(
                "cache_lookups_total",
                "Lookups of balances, by outcome.",
                &["provider", "outcome"],
            )?,
            served_age: make.histograms(
                "served_age_seconds",
                "Age of served balances since their upstream request was sent.",
                &["provider"],
                &AGE_BUCKETS,
            )?,
            duration: make.histograms(
                "upstream_request_duration_seconds",
                "Time of one attempt at a provider, body included.",
                &["provider", "operation"],
                &UPSTREAM_BUCKETS,
            )?,
            errors: make.counters(
                "upstream_errors_total",
                "Attempts at a provider that failed.",
                &["provider", "operation", "kind"],
            )?,
            retries: make.counters(
                "upstream_retries_total",
                "Attempts that repeat a failed one within the same read.",
                &["provider"],
            )?,
            reads_refused: make.counters(
                "reads_refused_total",
                "Reads that were refused without asking the provider.",
                &["provider", "reason"],
            )?,
            mismatch: make.counters(
                "balance_mismatch_total",
                "Answers whose total is not available plus blocked.",
                &["provider"],
            )?,
            observed_at_unreadable: make.counters(
                "observed_at_unreadable_total",
                "Answers whose own timestamp was missing or unreadable.",
                &["provider"],
            )?,
        })
    }

    /// The handles of one provider.
    pub(super) fn provider(&self, provider: &ProviderName) -> Arc<ProviderMetrics> {
        let name = provider.as_str();
        let operation = |operation: Operation| OperationMetrics {
            duration: self.duration.with_label_values(&[name, operation.as_str()]),
            errors: ErrorKind::ALL
                .map(|kind| self.errors.with_label_values(&[name, operation.as_str(), kind.as_str()])),
        };
        Arc::new(ProviderMetrics {
            lookups: Outcome::ALL
                .map(|outcome| self.cache_lookups.with_label_values(&[name, outcome.as_str()])),
            served_age: self.served_age.with_label_values(&[name]),
            operations: Operation::ALL.map(operation),
            retries: self.retries.with_label_values(&[name]),
            refused: ReadRefusal::ALL
                .map(|reason| self.reads_refused.with_label_values(&[name, reason.as_str()])),
            mismatch: self.mismatch.with_label_values(&[name]),
            observed_at_unreadable: self.observed_at_unreadable.with_label_values(&[name]),
        })
    }
}
