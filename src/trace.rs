//! Traces for a collector: one span per request, one per read and one per attempt. Off by default.
//!
//! A read belongs to no request, so it is a trace of its own; every request that waited for it has a link to it, and
//! so has one that was given up meanwhile. A read is sent when a sampled request began it or waited for it, or when it
//! was sampled where no request asked.
//! Whatever is noted here holds names and numbers of ours, never an amount, a secret or a provider's words, and
//! nothing of it goes to a provider.

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

/// Where spans go, and of how many requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// The collector, without a slash at the end; `/v1/traces` is appended.
    pub otlp: String,
    /// Of requests without a parent.
    pub sample: Sample,
}

/// Begins spans and sends those that ended. Clones share the way to the collector.
#[derive(Clone, Debug)]
pub struct Tracer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: TraceSettings,
    exporter: Exporter,
    clock: fn() -> Moment,
}

impl Tracer {
    /// Makes the way to the collector, which is a task of its own. To be called within a runtime; nothing is sent yet.
    ///
    /// # Errors
    /// [`TraceError`] when the HTTP client cannot be made.
    pub fn start(settings: TraceSettings, clock: fn() -> Moment) -> Result<Self, TraceError> {
        let exporter = Exporter::start(Collector::new(&settings.otlp)?);
        Ok(Self(Arc::new(Inner { settings, exporter, clock })))
    }

    /// What it was made from.
    #[must_use]
    pub fn settings(&self) -> &TraceSettings {
        &self.0.settings
    }

    /// Waits until what has ended is sent or given up.
    pub async fn flush(&self) {
        self.0.exporter.flush().await;
    }
}
