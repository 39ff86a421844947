//! Whether the store's clock can be trusted: an administrator can set it, and another node has another clock.

use std::time::{Duration, Instant};

use crate::domain::turn::micros;
use crate::domain::{MaxAge, StoreTime};

/// A larger move of the store's clock against ours means that it was set, or that it is another clock.
const MOST_DRIFT: Duration = Duration::from_secs(1);

/// What the store's clock said last, between two of our instants, and when it became doubtful.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    last: Option<(StoreTime, Instant, Instant)>,
    doubted_at: Option<Instant>,
    /// Its first reading, at the start or after a doubt: how it moved before is unknown.
    first: StoreTime,
}

/// What the store's clock should say when a script runs now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The longest that has passed since its last answer.
    pub(super) elapsed: u64,
}

impl ClockWatch {
    /// Notes what the store's clock said at some moment between `sent` and `received`. When it has become doubtful,
    /// returns its instant since when it may have been set.
    pub(super) fn note(&mut self, said: StoreTime, sent: Instant, received: Instant) -> Option<StoreTime> {
        let doubted_since = self.last.and_then(|(last, last_sent, last_received)| {
            let at_least = sent.saturating_duration_since(last_received);
            let at_most = received.saturating_duration_since(last_sent);
            let went = said.since(last);
            let went_back = last.since(said);
            let is_doubtful =
                went + MOST_DRIFT < at_least || went > at_most + MOST_DRIFT || went_back > MOST_DRIFT;
            is_doubtful.then(|| said.earlier_by(at_most))
        });
        if doubted_since.is_some() {
            self.doubted_at = Some(received);
        }
        if self.last.is_none() || doubted_since.is_some() {
            self.first = said;
        }
        self.last = Some((said, sent, received));
        doubted_since
    }

    /// What it should say when a script runs within `timeout` from now; zeros while nothing is known.
    pub(super) fn expected(&self, now: Instant, timeout: Duration) -> Expected {
        let Some((said, sent, received)) = self.last else { return Expected::default() };
        let at_most = now.saturating_duration_since(sent) + timeout;
        let at_least = now.saturating_duration_since(received);
        Expected {
            from: said.as_micros().saturating_add(micros(at_least)).saturating_sub(micros(MOST_DRIFT)),
            to: said.as_micros().saturating_add(micros(at_most + MOST_DRIFT)),
            elapsed: micros(at_most),
        }
    }

    /// What it says now at the latest.
    pub(super) fn latest(&self, now: Instant) -> Option<StoreTime> {
        let (said, sent, _) = self.last?;
        Some(StoreTime::from_micros(
            said.as_micros().saturating_add(micros(now.saturating_duration_since(sent))),
        ))
    }

    /// Since when this replica has watched it without a doubt. What was stored before needs a further proof of its age.
    pub(super) fn watched_since(&self) -> StoreTime {
        self.first
    }

    /// Whether the ages of stored snapshots can be told by it. A doubt lasts as long as a snapshot from before it may
    /// be served.
    pub(super) fn is_trusted(&self, now: Instant, max_age: MaxAge) -> bool {
        self.doubted_at.is_none_or(|doubted_at| now.saturating_duration_since(doubted_at) >= max_age.get())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_that_moves_against_ours_is_doubted_for_one_max_age() {
        let start = Instant::now();
        for (stepped_by, is_trusted) in [
            (0, true),
            (900_000, true),
            (-900_000, true),
            (1_300_000, false),
            (-1_300_000, false),
            (-40_000_000, false),
        ] {
            let mut watch = ClockWatch::default();
            let said = |seconds: i64, by: i64| {
                StoreTime::from_micros(u64::try_from(1_000_000_000 + seconds * 1_000_000 + by).unwrap())
            };
            watch.note(said(0, 0), start, start + SECOND / 10);
            let later = start + 10 * SECOND;
            watch.note(said(10, stepped_by), later, later + SECOND / 10);

            assert_eq!(watch.is_trusted(later + SECOND, MaxAge::CEILING), is_trusted, "{stepped_by}");
            assert!(watch.is_trusted(later + 61 * SECOND, MaxAge::CEILING), "{stepped_by}");
        }
    }
}
