//! Reads the clocks. No other file does: functions that judge time take the moment as an argument.

use std::time::Instant;

use jiff::Timestamp;

use crate::domain::Moment;

/// Returns this moment on the monotonic clock, for durations.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one file that reads clocks")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Returns this moment on both clocks.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one file that reads clocks")]
pub fn now() -> Moment {
    Moment { monotonic: Instant::now(), wall: Timestamp::now() }
}
