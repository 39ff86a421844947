//! The one place of `upstream` that reads the clocks.

use std::time::Instant;

use jiff::Timestamp;

use crate::domain::Moment;

/// This moment on both clocks.
#[expect(clippy::disallowed_methods, reason = "one of the two edges that read clocks")]
pub(super) fn now() -> Moment {
    Moment { monotonic: Instant::now(), wall: Timestamp::now() }
}
