//! Says in the log that a provider fails and that it works again. A storm of failures is summed up, not repeated.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Operation;
use crate::domain::{ProviderName, UpstreamError};
use crate::metrics::Label;

/// Between two lines about the failures of one provider.
const INTERVAL: Duration = Duration::from_secs(10);

/// The failures of one provider since it last worked, as far as the log knows.
#[derive(Debug, Default)]
pub(super) struct FailureLog(Mutex<Row>);

#[derive(Debug, Default)]
struct Row {
    failures: u64,
    suppressed: u64,
    logged_at: Option<Instant>,
    /// Whether the last line says that it fails. Of one that does now and then, only these lines and those that they
    /// are taken back by are written, and not one for each change.
    is_failing: bool,
}

impl FailureLog {
    /// Notes an attempt that failed. The first one is a line, and then one in ten seconds, with the number of those
    /// since the line before.
    pub(super) fn failed(
        &self,
        provider: &ProviderName,
        operation: Operation,
        error: UpstreamError,
        now: Instant,
    ) {
        if let Some(suppressed) = self.take_line(now) {
            tracing::warn!(
                event = "provider_failing",
                provider = provider.as_str(),
                operation = operation.as_str(),
                error = &error as &dyn std::error::Error,
                suppressed,
                "a call to a provider failed"
            );
        }
    }

    /// Notes a balance that came; the first one after a line about failures is a line.
    pub(super) fn worked(&self, provider: &ProviderName) {
        if let Some(failures) = self.take_back() {
            tracing::info!(
                event = "provider_works",
                provider = provider.as_str(),
                failures,
                "a provider works again"
            );
        }
    }

    fn take_line(&self, now: Instant) -> Option<u64> {
        let mut row = self.lock();
        row.failures += 1;
        if row.logged_at.is_some_and(|logged_at| now.saturating_duration_since(logged_at) < INTERVAL) {
            row.suppressed += 1;
            return None;
        }
        (row.logged_at, row.is_failing) = (Some(now), true);
        Some(std::mem::take(&mut row.suppressed))
    }

    fn take_back(&self) -> Option<u64> {
        let mut row = self.lock();
        std::mem::take(&mut row.is_failing).then(|| std::mem::take(&mut row.failures))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn the_first_failure_is_a_line_and_then_one_in_ten_seconds() {
        let (log, now) = (FailureLog::default(), clock::now().monotonic);

        assert_eq!(log.take_line(now), Some(0));
        let suppressed = (1..100).filter(|tenth| log.take_line(now + INTERVAL / 100 * *tenth).is_none());
        assert_eq!(suppressed.count(), 99);
        assert_eq!(log.take_line(now + INTERVAL), Some(99));
    }

    #[test]
    fn a_provider_that_fails_now_and_then_is_one_line_in_ten_seconds_and_one_that_it_works() {
        let (log, now) = (FailureLog::default(), clock::now().monotonic);
        assert_eq!(log.take_back(), None, "it has not failed");

        assert_eq!((log.take_line(now), log.take_back()), (Some(0), Some(1)));
        for _ in 0..5 {
            assert_eq!((log.take_line(now), log.take_back()), (None, None));
        }
        assert_eq!((log.take_line(now + INTERVAL), log.take_back()), (Some(5), Some(6)));
    }
}
