//! Begins spans and exports the ended ones.

use std::sync::Arc;

use super::collector::{Collector, TraceError};
use super::export::Exporter;
use super::sample::Sample;
use crate::domain::Moment;

/// The collector of spans, and the share of sampled requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// The collector's URL without a slash at the end; `/v1/traces` is appended.
    pub otlp: String,
    /// The sampled share of requests without a parent span.
    pub sample: Sample,
}

/// Begins spans and exports ended ones. Clones share one exporter.
#[derive(Clone, Debug)]
pub struct Tracer(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) settings: TraceSettings,
    pub(super) exporter: Exporter,
    pub(super) clock: fn() -> Moment,
}

impl Tracer {
    /// Starts the exporter in its own task. Must be called within a runtime; sends nothing yet.
    ///
    /// # Errors
    /// [`TraceError`] when the HTTP client cannot be made.
    pub fn start(settings: TraceSettings, clock: fn() -> Moment) -> Result<Self, TraceError> {
        let exporter = Exporter::start(Collector::new(&settings.otlp)?);
        Ok(Self(Arc::new(Inner { settings, exporter, clock })))
    }

    /// The settings of this tracer.
    #[must_use]
    pub fn settings(&self) -> &TraceSettings {
        &self.0.settings
    }

    /// Waits until all ended spans are sent or dropped.
    pub async fn flush(&self) {
        self.0.exporter.flush().await;
    }
}
