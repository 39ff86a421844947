//! Spreads the goodbyes of event streams over a drain, so that their clients do not connect elsewhere all at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The streams that are open, and the goodbyes of the drain.
#[derive(Debug, Default)]
pub(super) struct Byes {
    open: AtomicU32,
    drain: OnceLock<Drain>,
}

/// A drain: when it began, for how many streams, and how many of them know when to leave.
#[derive(Debug)]
struct Drain {
    began: Instant,
    streams: u32,
    told: AtomicU32,
}

impl Byes {
    /// A stream has opened.
    pub(super) fn open(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// A stream has ended.
    pub(super) fn close(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// When one more stream is to say goodbye: evenly over `delay`, the last at its end.
    pub(super) fn next(&self, now: Instant, delay: Duration) -> Instant {
        let streams = self.open.load(Ordering::Acquire).max(1);
        let drain = self.drain.get_or_init(|| Drain { began: now, streams, told: AtomicU32::new(0) });
        let number = (drain.told.fetch_add(1, Ordering::AcqRel) + 1).min(drain.streams);
        drain.began + delay * number / drain.streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodbyes_are_spread_and_the_last_comes_at_the_end() {
        let (byes, now) = (Byes::default(), crate::clock::monotonic());
        (0..4).for_each(|_| byes.open());
        let seconds = |at: Instant| at.duration_since(now).as_secs();

        let told: Vec<u64> = (0..5).map(|_| seconds(byes.next(now, Duration::from_secs(8)))).collect();

        // The fifth opened during the drain.
        assert_eq!(told, [2, 4, 6, 8, 8]);
    }
}
