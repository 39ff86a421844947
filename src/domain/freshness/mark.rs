//! Marks: invalidations that a snapshot must be newer than.

use std::time::{Duration, Instant};

use crate::domain::turn::{StoreTime, Turn};

/// A mark's number is the instant of the invalidation, rounded up by less than this.
const ROUNDING: Duration = Duration::from_millis(1);

/// An invalidation of a balance: no older snapshot may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When this replica learnt of it.
    pub at: Instant,
    /// Its place in the shared store's order, if it has one.
    pub number: Option<u64>,
}

impl Mark {
    /// Whether a read with this start and turn began after the invalidation.
    ///
    /// If both have a place in the store's order, that order decides. Otherwise this process's clock decides.
    pub(super) fn precedes(self, started_at: Instant, turn: Option<Turn>) -> bool {
        let Some((number, turn)) = self.number.zip(turn) else { return started_at >= self.at };
        // An answer with an `Age` may be older than the mark, although its turn is not: this process's clock decides.
        let is_instant_older = StoreTime::from_micros(number).since(turn.instant) > ROUNDING;
        turn.number > number && (!is_instant_older || started_at >= self.at)
    }

    /// Whether it has no number from the store, so that the store's order cannot decide.
    pub(super) fn is_unnumbered(self) -> bool {
        self.number.is_none()
    }
}
