//! Whether the store's clock can be trusted. An administrator can set it, and after a fail-over another node's clock is
//! used.

use std::time::{Duration, Instant};

use crate::domain::turn::micros;
use crate::domain::{MaxAge, StoreTime};

/// If the store's clock moves further than this against ours, it was set, or another clock took its place.
const MOST_DRIFT: Duration = Duration::from_secs(1);
/// A clock that is slewed, not set, loses less than one second in this many seconds.
const SLEWED: i64 = 1000;

/// The readings of the store's clock, and when it became doubtful.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// The last reading, with our instants before and after it.
    last: Option<(StoreTime, Instant, Instant)>,
    doubted_at: Option<Instant>,
    /// The first reading since the start or since the last doubt. How the clock moved before that is unknown.
    first: StoreTime,
    /// Steps back. Each is kept while a snapshot from before it may be served.
    set_back: Vec<SetBack>,
}

/// A step of the store's clock to an earlier time.
#[derive(Clone, Copy, Debug)]
struct SetBack {
    noted_at: Instant,
    /// The largest possible length of the step.
    by: Duration,
    /// Snapshots with a later instant are from after the step.
    until: StoreTime,
}

/// The expected reading of the store's clock when a script runs now, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The largest possible time since the store's last answer.
    pub(super) elapsed: u64,
}

impl ClockWatch {
    /// Records a reading of the store's clock between `sent` and `received`. If the clock became doubtful, returns the
    /// instant from which it may have been set.
    pub(super) fn note(
        &mut self,
        store_time: StoreTime,
        sent: Instant,
        received: Instant,
    ) -> Option<StoreTime> {
        let doubted_since = self.last.and_then(|(last, last_sent, last_received)| {
            let at_least = sent.saturating_duration_since(last_received);
            let at_most = received.saturating_duration_since(last_sent);
            let went = store_time.since(last);
            let went_back = last.since(store_time);
            let is_doubtful =
                went + MOST_DRIFT < at_least || went > at_most + MOST_DRIFT || went_back > MOST_DRIFT;
            is_doubtful.then(|| store_time.earlier_by(at_most))
        });
        if doubted_since.is_some() {
            self.doubted_at = Some(received);
        }
        if self.last.is_none() || doubted_since.is_some() {
            self.first = store_time;
        }
        self.note_set_back(store_time, sent, received);
        self.last = Some((store_time, sent, received));
        doubted_since
    }

    /// Records a step back of any length: by this clock, earlier snapshots look too young from now on.
    fn note_set_back(&mut self, store_time: StoreTime, sent: Instant, received: Instant) {
        let Some((last, last_sent, last_received)) = self.last else { return };
        self.set_back
            .retain(|step| received.saturating_duration_since(step.noted_at) < MaxAge::CEILING.get());
        let went = signed(store_time.since(last)) - signed(last.since(store_time));
        // Answers that were in flight together may be recorded in any order.
        let at_least = signed(sent.saturating_duration_since(last_received))
            - signed(last_received.saturating_duration_since(sent));
        if went < at_least - at_least.max(0) / SLEWED {
            let at_most = signed(received.saturating_duration_since(last_sent));
            let by = Duration::from_micros((at_most - went).unsigned_abs());
            let until = StoreTime::from_micros(store_time.as_micros().saturating_add(micros(by)));
            self.set_back.push(SetBack { noted_at: received, by, until });
        }
    }

    /// How much too young, at most, a snapshot of this instant looks by the store's clock.
    pub(super) fn lost_since(&self, instant: StoreTime) -> Duration {
        self.set_back.iter().filter(|step| instant <= step.until).map(|step| step.by).sum()
    }

    /// The expected reading when a script runs within `timeout`; zeros before the first reading.
    pub(super) fn expected(&self, now: Instant, timeout: Duration) -> Expected {
        let Some((store_time, sent, received)) = self.last else { return Expected::default() };
        let at_most = now.saturating_duration_since(sent) + timeout;
        let at_least = now.saturating_duration_since(received);
        Expected {
            from: store_time.as_micros().saturating_add(micros(at_least)).saturating_sub(micros(MOST_DRIFT)),
            to: store_time.as_micros().saturating_add(micros(at_most + MOST_DRIFT)),
            elapsed: micros(at_most),
        }
    }

    /// The latest possible reading now.
    pub(super) fn latest(&self, now: Instant) -> Option<StoreTime> {
        let (store_time, sent, _) = self.last?;
        Some(StoreTime::from_micros(
            store_time.as_micros().saturating_add(micros(now.saturating_duration_since(sent))),
        ))
    }

    /// Snapshots before this instant are unusable without another proof of their age: the store's clock was not watched
    /// then.
    pub(super) fn watched_since(&self) -> StoreTime {
        self.first
    }

    /// Whether the store's clock shows the true ages of stored snapshots. It does not for one `max_age` after a doubt,
    /// because a snapshot from before the doubt may be served for that long.
    pub(super) fn is_trusted(&self, now: Instant, max_age: MaxAge) -> bool {
        self.doubted_at.is_none_or(|doubted_at| now.saturating_duration_since(doubted_at) >= max_age.get())
    }
}

fn signed(length: Duration) -> i64 {
    i64::try_from(micros(length)).unwrap_or(i64::MAX / 4)
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
            let store_time = |seconds: i64, by: i64| {
                StoreTime::from_micros(u64::try_from(1_000_000_000 + seconds * 1_000_000 + by).unwrap())
            };
            watch.note(store_time(0, 0), start, start + SECOND / 10);
            let later = start + 10 * SECOND;
            watch.note(store_time(10, stepped_by), later, later + SECOND / 10);

            assert_eq!(watch.is_trusted(later + SECOND, MaxAge::CEILING), is_trusted, "{stepped_by}");
            assert!(watch.is_trusted(later + 61 * SECOND, MaxAge::CEILING), "{stepped_by}");
        }
    }

    #[test]
    fn a_short_step_back_adds_to_the_age_of_earlier_snapshots() {
        let start = Instant::now();
        let store_time = |millis: u64| StoreTime::from_micros(1_000_000_000 + millis * 1000);
        let mut watch = ClockWatch::default();
        let rtt = Duration::from_millis(2);
        watch.note(store_time(0), start, start + rtt);
        watch.note(store_time(10_000), start + 10 * SECOND, start + 10 * SECOND + rtt);
        assert_eq!(watch.lost_since(store_time(5000)), Duration::ZERO);

        // The clock was set back by half a second.
        watch.note(store_time(19_500), start + 20 * SECOND, start + 20 * SECOND + rtt);

        let lost = watch.lost_since(store_time(15_000));
        assert!(lost >= SECOND / 2 && lost <= SECOND / 2 + 2 * rtt, "{lost:?}");
        assert_eq!(watch.lost_since(store_time(20_100)), Duration::ZERO, "stored after the step");
        watch.note(
            store_time(90_000),
            start + 90 * SECOND + SECOND / 2,
            start + 90 * SECOND + SECOND / 2 + rtt,
        );
        assert_eq!(watch.lost_since(store_time(15_000)), Duration::ZERO, "no earlier snapshot may be served");
    }

    #[test]
    fn answers_recorded_out_of_order_are_no_step_back() {
        let start = Instant::now();
        let store_time = |millis: u64| StoreTime::from_micros(1_000_000_000 + millis * 1000);
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut watch = ClockWatch::default();

        watch.note(store_time(30), at(20), at(40));
        watch.note(store_time(10), at(0), at(50));

        assert_eq!(watch.lost_since(store_time(0)), Duration::ZERO);
    }
}
