//! The metrics of the shared store, which exist only with `[shared]`.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::error::MetricsError;
use super::labels::{Label, SharedError, SharedOperation};
use super::maker::Maker;
use super::registry::Metrics;

/// From a nearby store to the longest `shared.timeout`.
const SHARED_BUCKETS: [f64; 10] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0];

/// The handles of the shared store.
#[derive(Debug)]
pub struct SharedMetrics {
    state: IntGauge,
    errors: [[IntCounter; SharedError::ALL.len()]; SharedOperation::ALL.len()],
    durations: [Histogram; SharedOperation::ALL.len()],
}

impl SharedMetrics {
    /// Records whether this replica shares.
    pub fn set_sharing(&self, is_sharing: bool) {
        self.state.set(i64::from(is_sharing));
    }

    /// Counts an error.
    pub fn failed(&self, operation: SharedOperation, error: SharedError) {
        self.errors[operation as usize][error as usize].inc();
    }

    /// Records the duration of an operation.
    pub fn operated(&self, operation: SharedOperation, took: Duration) {
        self.durations[operation as usize].observe(took.as_secs_f64());
    }
}

impl Metrics {
    /// Whether this replica shares with the others; `None` without a store.
    #[must_use]
    pub fn is_sharing(&self) -> Option<bool> {
        self.shared_state.get().map(|state| state.get() > 0)
    }

    /// Creates the metrics of the shared store.
    ///
    /// # Errors
    /// When they already exist.
    pub fn shared(&self) -> Result<Arc<SharedMetrics>, MetricsError> {
        let make = Maker(&self.registry);
        let state = IntGauge::new(
            "shared_state",
            "1 while this replica shares with the others, 0 while it is alone.",
        )?;
        self.registry.register(Box::new(state.clone()))?;
        // A second registration would have failed, so this cell is still empty.
        let _ = self.shared_state.set(state.clone());
        let errors = make.counters(
            "shared_errors_total",
            "Operations in the shared store that failed.",
            &["operation", "kind"],
        )?;
        let durations = make.histograms(
            "shared_request_duration_seconds",
            "Time of one operation in the shared store.",
            &["operation"],
            &SHARED_BUCKETS,
        )?;
        Ok(Arc::new(SharedMetrics {
            state,
            errors: SharedOperation::ALL.map(|operation| {
                SharedError::ALL.map(|error| errors.with_label_values(&[operation.as_str(), error.as_str()]))
            }),
            durations: SharedOperation::ALL
                .map(|operation| durations.with_label_values(&[operation.as_str()])),
        }))
    }
}
