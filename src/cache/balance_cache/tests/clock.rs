//! The clock of these tests. It stands still until a test moves it. It is thread-local, because every task of a test
//! runs on the test's own thread.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::TICK;
use crate::domain::Moment;

thread_local! {
    static NOW: Cell<Option<Moment>> = const { Cell::new(None) };
}

#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
pub(super) fn now() -> Moment {
    NOW.get().unwrap_or_else(|| {
        // An hour ahead, so that ages can be subtracted even on a machine that has just started.
        let start = Moment { monotonic: Instant::now(), wall: Timestamp::now() };
        let start = start.later_by(Duration::from_hours(1));
        NOW.set(Some(start));
        start
    })
}

pub(super) fn advance(by: Duration) {
    NOW.set(Some(now().later_by(by)));
}

pub(super) fn step_wall_clock(by: Duration) {
    NOW.set(Some(Moment { wall: now().later_by(by).wall, ..now() }));
}

pub(super) fn just_under(length: Duration) -> Duration {
    length.checked_sub(TICK).unwrap()
}
