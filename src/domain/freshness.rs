//! How old a snapshot may be: the ceiling, the demands of callers, and the one decision about both.
//!
//! Every demand becomes one instant, never later than the arrival. Age counts from when the upstream request was *sent*,
//! not from when its answer arrived.

mod age;
mod demand;
mod directives;
mod limits;
mod mark;

pub use demand::{Demand, Priority};
pub use directives::Directives;
pub use limits::{AgeError, FreshFor, Limits, MaxAge};
pub use mark::Mark;
