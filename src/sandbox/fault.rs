//! Faults: what goes wrong, for which calls, and how often. `answer` applies faults that change the answer, `deliver`
//! those that change its delivery.

mod fields;
mod kind;
mod parse;
mod queue;

pub use kind::FaultKind;
pub use queue::{Fault, On};

pub(super) use queue::FaultQueue;
