//! The part of a demand that this process's clock judges: the oldest acceptable age.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::moment::Moment;
use crate::domain::turn::{StoreTime, Turn};

/// The oldest acceptable age of a snapshot, counted back from the arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgeLimit {
    /// By `Cache-Control` and the ceiling.
    pub(super) oldest: Duration,
    /// By `?not_before=`.
    pub(super) since: Option<Since>,
}

/// The earliest acceptable request time by another clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// The instant by that clock.
    pub(super) instant: Timestamp,
    /// The same as an age on arrival, by this process's clock.
    pub(super) oldest: Duration,
}

impl AgeLimit {
    /// The earliest acceptable start of a read that has no turn.
    pub(super) fn not_before(&self, arrived: Moment) -> Instant {
        arrived.earlier_by(self.strictest()).monotonic
    }

    /// Whether a snapshot of this age on arrival is acceptable. The store's clock judges `since` for a snapshot with a turn.
    pub(super) fn accepts(&self, age: Duration, turn: Option<Turn>) -> bool {
        match (turn, self.since) {
            (Some(turn), Some(since)) => turn.instant >= StoreTime::of(since.instant) && age <= self.oldest,
            (Some(_), None) => age <= self.oldest,
            (None, _) => age <= self.strictest(),
        }
    }

    fn strictest(&self) -> Duration {
        self.since.map_or(self.oldest, |since| since.oldest.min(self.oldest))
    }
}
