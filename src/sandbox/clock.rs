//! The sandbox's clock. A provider has its own clock, so this does not use the gateway's.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a simulated provider has its own clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The wall clock in the format of the providers: UTC, milliseconds, `Z`.
pub(super) fn timestamp() -> String {
    format!("{:.3}", wall())
}

/// The wall clock's time after this wait, in the same format.
pub(super) fn timestamp_after(wait: Duration) -> String {
    format!("{:.3}", wall().saturating_add(wait).unwrap_or(Timestamp::MAX))
}

/// The value of a `Date` header.
pub(super) fn http_date() -> String {
    httpdate::fmt_http_date(wall().into())
}

#[expect(clippy::disallowed_methods, reason = "a simulated provider has its own clock")]
fn wall() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_milliseconds_and_a_z() {
        let text = timestamp();

        assert_eq!(text.len(), "2025-11-19T20:18:29.384Z".len());
        assert!(text.ends_with('Z'));
    }
}
