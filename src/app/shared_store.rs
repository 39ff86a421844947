//! The shared store of the configuration in force, and the task that keeps the connection to it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::Clock;
use crate::metrics::{Metrics, MetricsError, SharedMetrics};
use crate::shared::Shared;

/// The shared store, if configured.
#[derive(Default)]
pub(super) struct SharedStore {
    shared: Option<Arc<Shared>>,
    /// Created with the first store; later stores use the same metrics.
    metrics: Option<Arc<SharedMetrics>>,
    /// Ends the connection to this store and to every later one.
    end: CancellationToken,
    /// Ends the connection to this store only.
    stop: CancellationToken,
}

impl SharedStore {
    /// The store of a configuration; no connection is made yet.
    pub(super) fn of(config: &Config, clock: Clock, metrics: &Metrics) -> Result<Self, MetricsError> {
        Self::default().reconfigured(config, clock, metrics)
    }

    /// The store of another configuration, with the metrics of this one.
    pub(super) fn reconfigured(
        &self,
        config: &Config,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let Some(settings) = &config.shared else {
            let metrics = self.metrics.clone();
            return Ok(Self { shared: None, metrics, stop: self.end.child_token(), end: self.end.clone() });
        };
        let metrics = match &self.metrics {
            Some(metrics) => Arc::clone(metrics),
            None => metrics.shared()?,
        };
        let shared = Shared::new(settings.clone(), clock, Arc::clone(&metrics));
        Ok(Self { shared, metrics: Some(metrics), stop: self.end.child_token(), end: self.end.clone() })
    }

    /// The store.
    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    /// Starts the task that keeps the connection.
    pub(super) fn start(&self) {
        if let Some(shared) = &self.shared {
            tokio::spawn(Arc::clone(shared).run(self.stop.clone()));
        }
    }

    /// Ends the connection to a store that was replaced, after its running reads have ended.
    pub(super) fn retire(&self) {
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            if let Some(shared) = shared {
                shared.finish_reads().await;
            }
            stop.cancel();
        }));
    }

    /// The token that ends the connection to this store and to every later one.
    pub(super) fn end(&self) -> CancellationToken {
        self.end.clone()
    }
}
