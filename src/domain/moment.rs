//! Moments: readings of both clocks, and the time between two moments.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// One moment on both clocks, read together. Neither a frozen process nor a stepped clock makes the time between two
/// moments look shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The monotonic clock.
    pub monotonic: Instant,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Reads both clocks together.
pub type Clock = fn() -> Moment;

impl Moment {
    /// The time from this moment until `now`: the larger difference of the two clocks.
    #[must_use]
    pub fn age_at(&self, now: Self) -> Duration {
        let by_wall = Duration::try_from(now.wall.duration_since(self.wall)).unwrap_or_default();
        now.monotonic.saturating_duration_since(self.monotonic).max(by_wall)
    }

    /// The moment `length` before this one, but not before the start of a clock.
    #[must_use]
    pub fn earlier_by(&self, length: Duration) -> Self {
        let wall =
            SignedDuration::try_from(length).ok().and_then(|length| self.wall.checked_sub(length).ok());
        Self {
            monotonic: self.monotonic.checked_sub(length).unwrap_or(self.monotonic),
            wall: wall.unwrap_or(self.wall),
        }
    }

    /// The moment `length` after this one.
    #[must_use]
    pub fn later_by(&self, length: Duration) -> Self {
        let wall =
            SignedDuration::try_from(length).ok().and_then(|length| self.wall.checked_add(length).ok());
        Self {
            monotonic: self.monotonic.checked_add(length).unwrap_or(self.monotonic),
            wall: wall.unwrap_or(self.wall),
        }
    }
}

/// Whole seconds, rounded up, as ages are shown.
#[must_use]
pub fn rounded_up(length: Duration) -> u64 {
    length.as_secs().saturating_add(u64::from(length.subsec_nanos() > 0))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use super::*;

    #[test]
    fn age_is_the_larger_of_both_clocks() {
        let then = Moment { monotonic: Instant::now(), wall: Timestamp::now() };
        let frozen = Moment {
            wall: then.later_by(Duration::from_secs(70)).wall,
            ..then.later_by(Duration::from_secs(1))
        };
        let stepped_back = Moment {
            wall: then.earlier_by(Duration::from_secs(30)).wall,
            ..then.later_by(Duration::from_secs(20))
        };

        assert_eq!(then.age_at(frozen), Duration::from_secs(70));
        assert_eq!(then.age_at(stepped_back), Duration::from_secs(20));
        assert_eq!(then.later_by(Duration::from_secs(5)).age_at(then), Duration::ZERO);
    }
}
