//! Faults: what goes wrong, for which calls, and how often. `answer` and `deliver` carry them out: another answer, or the
//! answer delivered in another way.

mod fields;
mod kind;
mod parse;
mod queue;

pub use kind::FaultKind;
pub use queue::{Fault, On};

pub(super) use queue::FaultQueue;
