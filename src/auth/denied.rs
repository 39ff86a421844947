//! Logs denied access at every log level, at most ten lines a second; the rest are counted in the next line.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::AccountName;
use crate::telemetry::targets;

/// Most lines in one second.
const MOST_LINES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Writes a bounded number of lines about denied access.
#[derive(Debug, Default)]
pub struct DeniedLog(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl DeniedLog {
    /// Logs one denied access. `account` is logged only if it is a valid name.
    pub fn write(&self, caller: Option<&str>, account: Option<&str>, reason: &'static str, now: Instant) {
        let Some(suppressed) = self.take_line(now) else { return };
        let account = account.filter(|account| AccountName::parse(account).is_ok());
        tracing::warn!(target: targets::DENIED, event = "access_denied", caller, account, reason, suppressed, "access denied");
    }

    /// The number of lines suppressed before this one; `None` if this one is suppressed.
    fn take_line(&self, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            lines.since = Some(now);
            lines.written = 0;
        }
        if lines.written >= MOST_LINES {
            lines.suppressed += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_are_written_and_the_next_line_counts_the_rest() {
        let (log, now) = (DeniedLog::default(), crate::clock::now().monotonic);

        let written = (0..25).filter(|_| log.take_line(now).is_some()).count();

        assert_eq!(written, 10);
        assert_eq!(log.take_line(now + SECOND), Some(15));
        assert_eq!(log.take_line(now + SECOND), Some(0));
    }
}
