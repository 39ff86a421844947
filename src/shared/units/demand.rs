//! The number of units that a replica will need soon: as many as were requested in the busiest of the last spans.

use std::time::{Duration, Instant};

/// Demand is counted in spans of this length; units are held for one span.
pub(super) const SPAN: Duration = Duration::from_millis(250);
/// How long a busy span counts, and how long after its last request a caller counts as active. A caller that was
/// refused a batch and retries after the `Retry-After` of a second finds its units.
pub(super) const MEMORY: Duration = Duration::from_secs(2);

/// The demand on one limit.
#[derive(Debug)]
pub(super) struct UnitDemand {
    span_began: Instant,
    in_span: u64,
    most: u64,
    most_at: Instant,
    last_requested: Instant,
}

impl UnitDemand {
    pub(super) fn new(now: Instant) -> Self {
        Self { span_began: now, in_span: 0, most: 0, most_at: now, last_requested: now }
    }

    /// Records requested units.
    pub(super) fn note(&mut self, requested: u64, now: Instant) {
        if now.saturating_duration_since(self.span_began) >= SPAN {
            (self.span_began, self.in_span) = (now, 0);
        }
        self.in_span += requested;
        if requested > 0 {
            self.last_requested = now;
        }
        if self.in_span >= self.most || now.saturating_duration_since(self.most_at) >= MEMORY {
            (self.most, self.most_at) = (self.in_span, now);
        }
    }

    /// The number of units to hold.
    pub(super) fn forecast(&self) -> u64 {
        self.most
    }

    /// Whether the caller is idle.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_requested) >= MEMORY
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn the_busiest_span_counts_for_a_while() {
        let start = Instant::now();
        let mut demand = UnitDemand::new(start);

        for (after, requested, forecast) in [
            (0, 3, 3),
            (200, 4, 7),
            (250, 2, 7),
            (600, 1, 7),
            (2199, 1, 7),
            (2200, 1, 2),
            (2500, 1, 2),
            (2510, 2, 3),
        ] {
            demand.note(requested, start + after * MILLISECOND);
            assert_eq!(demand.forecast(), forecast, "{after}");
        }
    }

    #[test]
    fn a_caller_without_requests_becomes_idle() {
        let start = Instant::now();
        let mut demand = UnitDemand::new(start);
        demand.note(1, start + 500 * MILLISECOND);
        demand.note(0, start + 1000 * MILLISECOND);

        assert!(!demand.is_idle(start + 2499 * MILLISECOND));
        assert!(demand.is_idle(start + 2500 * MILLISECOND));
    }
}
