//! How old a snapshot may be: the ceiling, the demands of callers, and the one decision about both.
//!
//! Every demand becomes one instant, `not_before`, never later than the arrival. Age counts from when the
//! upstream request was *sent*, not from when its answer arrived.

mod demand;
mod wish;

pub use demand::{AgeError, Demand, FreshFor, Limits, Mark, MaxAge, Priority};
pub use wish::Wish;
