//! Traces for a collector: one span per request, one per read and one per attempt. Off by default.
//!
//! A read belongs to no request, so it is a separate trace. Every request that waited for it links to it, even if the
//! request was abandoned. A read is exported when a sampled request started it or waited for it; a read without a
//! request has its own sampling decision. Spans contain our own names and numbers, never an amount, a secret or a text
//! of a provider. Providers receive no trace context.

mod collector;
mod context;
mod export;
mod read;
mod reads;
mod request;
mod sample;
mod tracer;
mod wire;

pub use collector::TraceError;
pub use read::{Attempt, ReadTrace, note_attempt, note_read};
pub use reads::{Origin, Reads, Waiting};
pub use request::{RequestEnd, RequestStart, RequestTrace, is_current_recorded};
pub use sample::Sample;
pub use tracer::{TraceSettings, Tracer};
