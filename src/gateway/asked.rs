//! The demands of a request on balances.

use std::time::Instant;

use crate::domain::{Moment, Wish};

/// The demands of a request, for any balance.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When the request arrived.
    pub arrived: Moment,
    /// Its freshness demand.
    pub wish: Wish,
    /// The caller's deadline.
    pub deadline: Instant,
}
