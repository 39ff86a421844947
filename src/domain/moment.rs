//! Moments: readings of both clocks, and the time between two moments.

use std::borrow::Cow;
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

/// Cuts the fraction of an instant to nine digits, the precision of a [`Timestamp`]. RFC 3339 allows any number of digits.
#[must_use]
pub fn with_nanoseconds(text: &str) -> Cow<'_, str> {
    const DIGITS: usize = 9;
    let Some((_, rest)) = text.split_once('.') else { return Cow::Borrowed(text) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let Some(excess) = digits.checked_sub(DIGITS).filter(|excess| *excess > 0) else {
        return Cow::Borrowed(text);
    };
    let offset = text.len() - rest.len() + digits;
    Cow::Owned([&text[..offset - excess], &text[offset..]].concat())
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

    #[test]
    fn a_fraction_is_cut_to_nine_digits() {
        for (text, cut) in [
            ("2026-11-21T07:00:00Z", "2026-11-21T07:00:00Z"),
            ("2026-11-21T07:00:00.123456789+02:00", "2026-11-21T07:00:00.123456789+02:00"),
            ("2026-11-21T07:00:00.1234567899+02:00", "2026-11-21T07:00:00.123456789+02:00"),
            ("2026-11-21T07:00:00.12345678999999999Z", "2026-11-21T07:00:00.123456789Z"),
            ("2026-11-21T07:00:00.Z", "2026-11-21T07:00:00.Z"),
        ] {
            assert_eq!(with_nanoseconds(text), cut);
        }
    }
}
