//! What a caller asks of a balance.

use std::time::Instant;

use crate::domain::{Moment, Wish};

/// What a caller asks, whichever balance it is.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When the request came.
    pub arrived: Moment,
    /// What it says about freshness.
    pub wish: Wish,
    /// Until when the caller waits.
    pub deadline: Instant,
}
