//! Logs that a provider fails, and that it works again. Many failures become one line with their number.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{ProviderName, UpstreamError};
use crate::metrics::{Label, Operation};
use crate::upstream::targets;

/// The shortest time between two lines about the failures of one provider.
const INTERVAL: Duration = Duration::from_secs(10);

/// The failures of one provider since it last worked, as far as the log knows.
#[derive(Debug, Default)]
pub(in crate::upstream) struct FailureLog(Mutex<Row>);

#[derive(Debug, Default)]
struct Row {
    failures: u64,
    suppressed: u64,
    logged_at: Option<Instant>,
    /// Whether the last line reported a failure. Only then does the next success write a line, so a provider that fails
    /// now and then does not fill the log.
    is_failing: bool,
}

impl FailureLog {
    /// Records a failed attempt. The first one writes a line. Later ones write one line in ten seconds, with the number of
    /// failures since the last line.
    pub(in crate::upstream) fn failed(
        &self,
        provider: &ProviderName,
        operation: Operation,
        error: UpstreamError,
        now: Instant,
    ) {
        if let Some(suppressed) = self.take_line(now) {
            tracing::warn!(
                target: targets::FAILURE_LOG,
                event = "provider_failing",
                provider = provider.as_str(),
                operation = operation.as_str(),
                error = &error as &dyn std::error::Error,
                suppressed,
                "a call to a provider failed"
            );
        }
    }

    /// Records a balance. The first one after a line about failures writes a line.
    pub(in crate::upstream) fn worked(&self, provider: &ProviderName) {
        if let Some(failures) = self.take_back() {
            tracing::info!(
                target: targets::FAILURE_LOG,
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
    fn failures_write_one_line_in_ten_seconds() {
        let (log, now) = (FailureLog::default(), clock::now().monotonic);

        assert_eq!(log.take_line(now), Some(0));
        let suppressed = (1..100).filter(|tenth| log.take_line(now + INTERVAL / 100 * *tenth).is_none());
        assert_eq!(suppressed.count(), 99);
        assert_eq!(log.take_line(now + INTERVAL), Some(99));
    }

    #[test]
    fn a_provider_that_sometimes_fails_writes_one_line_in_ten_seconds_and_one_on_success() {
        let (log, now) = (FailureLog::default(), clock::now().monotonic);
        assert_eq!(log.take_back(), None, "it has not failed");

        assert_eq!((log.take_line(now), log.take_back()), (Some(0), Some(1)));
        for _ in 0..5 {
            assert_eq!((log.take_line(now), log.take_back()), (None, None));
        }
        assert_eq!((log.take_line(now + INTERVAL), log.take_back()), (Some(5), Some(6)));
    }
}
