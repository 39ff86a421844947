//! The clock of these tests: the real one, ahead by the time that a test skips.
//!
//! It is thread-local, because every task of a test runs on the test's own thread. Timers do not follow it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock;
use crate::domain::Moment;

thread_local! {
    static SKIPPED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

pub(super) fn now() -> Moment {
    clock::now().later_by(SKIPPED.get())
}

pub(super) fn monotonic() -> Instant {
    now().monotonic
}

/// Skips this time.
pub(super) fn advance(by: Duration) {
    SKIPPED.set(SKIPPED.get() + by);
}
