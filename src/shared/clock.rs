//! Whether the store's clock can be believed: it can be set, or another node can answer with another one.

use std::time::{Duration, Instant};

use crate::domain::{MaxAge, StoreTime};

/// A store's clock that moves by more against ours was set, or is another one.
const MOST_DRIFT: Duration = Duration::from_secs(1);

/// What the store's clock said last, between two of our instants; and until when it is not believed.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    last: Option<(StoreTime, Instant, Instant)>,
    doubted_until: Option<Instant>,
    /// What it said first: nobody here knows whether it was set before.
    first: StoreTime,
}

impl ClockWatch {
    /// Notes what the store's clock said at some moment between `sent` and `received`.
    pub(super) fn note(&mut self, said: StoreTime, sent: Instant, received: Instant) {
        if let Some((last, last_sent, last_received)) = self.last {
            let at_least = sent.saturating_duration_since(last_received);
            let at_most = received.saturating_duration_since(last_sent);
            let went = said.since(last);
            let went_back = last.since(said);
            if went + MOST_DRIFT < at_least || went > at_most + MOST_DRIFT || went_back > MOST_DRIFT {
                self.doubted_until = Some(received + MaxAge::CEILING.get());
            }
        }
        if self.last.is_none() {
            self.first = said;
        }
        self.last = Some((said, sent, received));
    }

    /// What it says now at the latest.
    pub(super) fn latest(&self, now: Instant) -> Option<StoreTime> {
        let (said, sent, _) = self.last?;
        let since = u64::try_from(now.saturating_duration_since(sent).as_micros()).unwrap_or(u64::MAX);
        Some(StoreTime::from_micros(said.as_micros().saturating_add(since)))
    }

    /// From when on the ages of what is stored can be told by it, if they can be told at all.
    pub(super) fn believed_since(&self, now: Instant) -> Option<StoreTime> {
        self.is_believed(now).then_some(self.first)
    }

    /// Whether the ages of what is stored can be told by it.
    pub(super) fn is_believed(&self, now: Instant) -> bool {
        self.doubted_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_that_moves_against_ours_is_not_believed_for_the_life_of_a_snapshot() {
        let start = Instant::now();
        for (stepped_by, is_believed) in [
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

            assert_eq!(watch.is_believed(later + SECOND), is_believed, "{stepped_by}");
            assert!(watch.is_believed(later + 61 * SECOND), "{stepped_by}");
        }
    }
}
