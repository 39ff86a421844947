//! The units of a caller's forced limit.

/// A unit of a caller's forced limit, taken for a forced read. Dropping it spends it.
pub trait Forced {
    /// Gives the unit back: no read was made.
    fn give_back(self);
}

/// A caller without such a limit.
impl Forced for () {
    fn give_back(self) {}
}

impl<F: Forced> Forced for Option<F> {
    fn give_back(self) {
        if let Some(unit) = self {
            unit.give_back();
        }
    }
}
