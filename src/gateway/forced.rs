//! The units of a caller's forced limit.

use crate::domain::UpstreamError;

/// A unit of a caller's forced limit, taken for a forced read. Dropping it spends it.
pub trait Forced {
    /// Gives the unit back, because the read was refused and the provider was not called.
    fn give_back(self, error: UpstreamError);
}

/// A caller without a forced limit has no unit to give back.
impl Forced for () {
    fn give_back(self, _: UpstreamError) {}
}

impl<F: Forced> Forced for Option<F> {
    fn give_back(self, error: UpstreamError) {
        if let Some(unit) = self {
            unit.give_back(error);
        }
    }
}
