//! The context of a request: what every balance that it selects has in common.

use std::time::Instant;

use crate::domain::{Directives, Moment};

/// The context of one request, for any balance.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext {
    /// When the request arrived.
    pub arrived: Moment,
    /// Its freshness directives.
    pub directives: Directives,
    /// The caller's deadline.
    pub deadline: Instant,
}
