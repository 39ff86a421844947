//! Traces for a collector: one span per request, one per read and one per attempt. Off by default.
//!
//! A read belongs to no request, so it is a separate trace. Every request that waited for it links to it, also an
//! abandoned one. A read is exported when a sampled request started it or waited for it; a read without a request
//! has its own sampling decision. Spans contain our own names and numbers, never an amount, a secret or a text of a
//! provider. Providers receive no trace context.

mod collector;
mod context;
mod export;
mod read;
mod reads;
mod request;
mod sample;
mod wire;

use std::sync::Arc;

pub use collector::TraceError;
pub use read::{Attempt, ReadTrace, note_attempt, note_read};
pub use reads::{Origin, Reads, Waiting};
pub use request::{Answered, Asked, RequestTrace, is_current_recorded};
pub use sample::Sample;

use crate::domain::Moment;
use collector::Collector;
use export::Exporter;

/// Where spans are exported to, and the share of requests that are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// The collector's URL without a slash at the end; `/v1/traces` is appended.
    pub otlp: String,
    /// The sampled share of requests without a parent span.
    pub sample: Sample,
}

/// Begins spans and exports ended ones. Clones share one exporter.
#[derive(Clone, Debug)]
pub struct Tracer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: TraceSettings,
    exporter: Exporter,
    clock: fn() -> Moment,
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
