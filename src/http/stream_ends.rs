//! Spreads the ends of event streams over a drain, so that their clients do not all reconnect at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The number of open streams, and the running drain.
#[derive(Debug, Default)]
pub(super) struct StreamEnds {
    open: AtomicU32,
    drain: OnceLock<Drain>,
}

/// A drain: its start, the number of its streams, and how many of them have received their end.
#[derive(Debug)]
struct Drain {
    began: Instant,
    streams: u32,
    assigned: AtomicU32,
}

impl StreamEnds {
    /// Counts an opened stream.
    pub(super) fn open(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts an ended stream.
    pub(super) fn close(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// The moment at which the next stream ends. The moments are spread evenly over `delay`; the last stream ends when
    /// `delay` is over.
    pub(super) fn next_end(&self, now: Instant, delay: Duration) -> Instant {
        let streams = self.open.load(Ordering::Acquire).max(1);
        let drain = self.drain.get_or_init(|| Drain { began: now, streams, assigned: AtomicU32::new(0) });
        let number = (drain.assigned.fetch_add(1, Ordering::AcqRel) + 1).min(drain.streams);
        drain.began + delay * number / drain.streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spread_and_the_last_is_at_the_end_of_the_delay() {
        let (stream_ends, now) = (StreamEnds::default(), crate::clock::monotonic());
        (0..4).for_each(|_| stream_ends.open());
        let seconds = |at: Instant| at.duration_since(now).as_secs();

        let assigned: Vec<u64> =
            (0..5).map(|_| seconds(stream_ends.next_end(now, Duration::from_secs(8)))).collect();

        // The fifth opened during the drain.
        assert_eq!(assigned, [2, 4, 6, 8, 8]);
    }
}
