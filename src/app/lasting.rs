//! What outlives every configuration.

use super::sharing::Sharing;
use crate::trace::Tracer;

/// What outlives every configuration: a reload takes it over from the configuration before.
pub(super) struct Lasting {
    pub(super) tracer: Option<Tracer>,
    pub(super) sharing: Sharing,
}
