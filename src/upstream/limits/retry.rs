//! Retries inside one read: the provider's reserve, which empties when everything fails, and the pauses.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A retry, in the reserve's unit: tenths, so that a read can give back a tenth.
const RETRY: u32 = 10;
/// Ten retries.
const FULL: u32 = 10 * RETRY;
/// A tenth of a retry for each read, and for each second (one per 10 s).
const TENTH: u32 = 1;
/// The longest first pause; it doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The retry reserve of one provider.
#[derive(Debug)]
pub(in crate::upstream) struct RetryReserve(Mutex<Level>);

#[derive(Debug)]
struct Level {
    tenths: u32,
    filled_at: Instant,
}

impl RetryReserve {
    pub(in crate::upstream) fn full(now: Instant) -> Self {
        Self(Mutex::new(Level { tenths: FULL, filled_at: now }))
    }

    /// Refills a tenth of a retry, for one read.
    pub(in crate::upstream) fn note_read(&self) {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        level.tenths = (level.tenths + TENTH).min(FULL);
    }

    /// Takes one retry, when it is scheduled; false when the reserve is empty.
    pub(in crate::upstream) fn take(&self, now: Instant) -> bool {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = now.saturating_duration_since(level.filled_at).as_secs();
        level.filled_at += Duration::from_secs(seconds);
        let filled = u32::try_from(seconds).unwrap_or(FULL).saturating_mul(TENTH);
        level.tenths = level.tenths.saturating_add(filled).min(FULL);
        let has_one = level.tenths >= RETRY;
        if has_one {
            level.tenths -= RETRY;
        }
        has_one
    }
}

/// The pause before the retry after the given attempt (the first is 1): between half and the whole of a length
/// that doubles. The random part spreads reads that failed together.
pub(in crate::upstream) fn pause(attempt: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(8));
    let half = whole / 2;
    half + half.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn after_ten_retries_only_time_or_reads_refill_the_reserve() {
        let now = clock::now().monotonic;
        let reserve = RetryReserve::full(now);

        assert_eq!((0..20).filter(|_| reserve.take(now)).count(), 10);
        assert!(!reserve.take(now + Duration::from_secs(9)));
        assert!(reserve.take(now + Duration::from_secs(10)));
        (0..9).for_each(|_| reserve.note_read());
        assert!(!reserve.take(now + Duration::from_secs(10)));
        reserve.note_read();
        assert!(reserve.take(now + Duration::from_secs(10)));
    }

    #[test]
    fn a_pause_is_jittered_and_doubles() {
        for (attempt, most) in [(1, 200), (2, 400), (3, 800)] {
            let most = Duration::from_millis(most);
            assert!((0..100).all(|_| (most / 2..=most).contains(&pause(attempt))));
        }
    }
}
