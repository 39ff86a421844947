//! The outgoing budget of one account: a sliding log, so that at most `requests` calls count in *any* span of
//! `per`. A token bucket would let nearly twice as many through.
//!
//! A call counts from its grant until `per` after its attempt ended, as the provider may have received it then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{Clock, Priority};

/// The most calls in any span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSettings {
    /// Calls; above zero.
    pub requests: u32,
    /// The span.
    pub per: Duration,
}

/// The log of one account's calls.
#[derive(Debug)]
pub(in crate::upstream) struct Budget {
    pub(in crate::upstream) settings: BudgetSettings,
    log: Arc<Mutex<Log>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Log {
    in_flight: u32,
    /// When each finished call's attempt ended, oldest first.
    ended: VecDeque<Instant>,
}

/// The right to make one call; the attempt ends when it is dropped.
#[derive(Debug)]
pub(super) struct BudgetGrant {
    log: Arc<Mutex<Log>>,
    clock: Clock,
}

impl Drop for BudgetGrant {
    fn drop(&mut self) {
        let mut log = lock(&self.log);
        log.in_flight = log.in_flight.saturating_sub(1);
        log.ended.push_back((self.clock)().monotonic);
    }
}

impl Budget {
    pub(in crate::upstream) fn new(settings: BudgetSettings, clock: Clock) -> Self {
        Self { settings, log: Arc::default(), clock }
    }

    /// The local share of one replica; it counts the same calls.
    pub(super) fn local_share(&self, replicas: u32) -> Self {
        let requests = (self.settings.requests / replicas.max(1)).max(1);
        self.resized(BudgetSettings { requests, ..self.settings })
    }

    /// Counts a call that the store granted.
    pub(in crate::upstream) fn note(&self, now: Instant) -> BudgetGrant {
        let mut log = self.current(now);
        log.in_flight = log.in_flight.saturating_add(1);
        self.granted()
    }

    /// A budget with other settings that counts the same calls.
    pub(in crate::upstream) fn resized(&self, settings: BudgetSettings) -> Self {
        Self { settings, log: Arc::clone(&self.log), clock: self.clock }
    }

    /// Grants one call, or returns the time until the next may be granted.
    pub(super) fn grant(&self, priority: Priority, now: Instant) -> Result<BudgetGrant, Duration> {
        let mut log = self.current(now);
        let share = self.share(priority);
        let counted = log.counted();
        if counted < share {
            log.in_flight += 1;
            return Ok(self.granted());
        }
        // This many of the oldest calls must expire before fewer than the share count.
        let must_leave = usize::try_from(counted - share).unwrap_or(usize::MAX);
        let last_to_leave = log.ended.get(must_leave).map(|ended| *ended + self.settings.per);
        Err(last_to_leave.map_or(self.settings.per, |free| free.saturating_duration_since(now)))
    }

    fn granted(&self) -> BudgetGrant {
        BudgetGrant { log: Arc::clone(&self.log), clock: self.clock }
    }

    /// Whether a call of this priority would be granted.
    pub(in crate::upstream) fn has_room(&self, priority: Priority, now: Instant) -> bool {
        self.current(now).counted() < self.share(priority)
    }

    pub(in crate::upstream) fn limit(&self) -> u32 {
        self.settings.requests
    }

    pub(in crate::upstream) fn remaining(&self, now: Instant) -> u32 {
        self.settings.requests.saturating_sub(self.current(now).counted())
    }

    /// The share of a priority: 60, 80, 90 or 100 % of the requests, rounded down, at least one.
    pub(in crate::upstream) fn share(&self, priority: Priority) -> u32 {
        let percent: u64 = match priority {
            Priority::Background => 60,
            Priority::Plain => 80,
            Priority::Demanded => 90,
            Priority::Certain => 100,
        };
        u32::try_from(u64::from(self.settings.requests) * percent / 100).unwrap_or(u32::MAX).max(1)
    }

    fn current(&self, now: Instant) -> MutexGuard<'_, Log> {
        let mut log = lock(&self.log);
        while log
            .ended
            .front()
            .is_some_and(|ended| now.saturating_duration_since(*ended) >= self.settings.per)
        {
            log.ended.pop_front();
        }
        log
    }
}

impl Log {
    fn counted(&self) -> u32 {
        self.in_flight.saturating_add(u32::try_from(self.ended.len()).unwrap_or(u32::MAX))
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MINUTE: Duration = Duration::from_mins(1);

    fn budget(requests: u32) -> Budget {
        Budget::new(BudgetSettings { requests, per: MINUTE }, clock::now)
    }

    #[test]
    fn each_priority_has_its_share() {
        let now = clock::now().monotonic;
        for (requests, priority, share) in [
            (50, Priority::Background, 30),
            (50, Priority::Plain, 40),
            (50, Priority::Demanded, 45),
            (50, Priority::Certain, 50),
            (1, Priority::Background, 1),
            (3, Priority::Plain, 2),
        ] {
            let budget = budget(requests);

            let grants: Vec<_> = std::iter::from_fn(|| budget.grant(priority, now).ok()).collect();

            assert_eq!(grants.len(), share, "{requests} {priority:?}");
            assert_eq!(budget.remaining(now) as usize, requests as usize - share);
        }
    }

    #[test]
    fn a_call_counts_for_one_span_after_its_end() {
        let budget = budget(1);
        drop(budget.grant(Priority::Certain, clock::now().monotonic).unwrap());
        let ended = clock::now().monotonic;

        let wait = budget.grant(Priority::Demanded, ended).unwrap_err();

        assert!(wait <= MINUTE && wait > Duration::from_secs(59), "{wait:?}");
        assert!(budget.grant(Priority::Demanded, ended + Duration::from_secs(59)).is_err());
        assert!(budget.grant(Priority::Demanded, ended + MINUTE).is_ok());
    }

    #[test]
    fn a_call_in_flight_counts_for_its_whole_duration() {
        let budget = budget(1);
        let now = clock::now().monotonic;
        let grant = budget.grant(Priority::Demanded, now).unwrap();

        assert_eq!(budget.grant(Priority::Demanded, now + 10 * MINUTE).unwrap_err(), MINUTE);
        drop(grant);
    }
}
