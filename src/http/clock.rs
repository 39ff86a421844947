//! The one place of `http` that reads the clocks: arrivals, and the moment an answer is written.

use std::time::Instant;

use jiff::Timestamp;

use crate::domain::Moment;

/// This moment on the monotonic clock, for durations.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "one of the two edges that read clocks")]
pub(super) fn monotonic() -> Instant {
    Instant::now()
}

/// This moment on both clocks.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "one of the two edges that read clocks")]
pub fn now() -> Moment {
    Moment { monotonic: Instant::now(), wall: Timestamp::now() }
}
