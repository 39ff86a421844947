//! The circuit breaker of one provider: after a row of failures nobody asks it for a while, then one read probes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::Clock;

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failed attempts in a row; above zero.
    pub failures: u32,
    /// How long no attempt leaves.
    pub cooldown: Duration,
}

/// What an attempt says about the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A balance came.
    Success,
    /// Some answer below 500 came.
    Answered,
    /// Connect, time-out or 5xx.
    Failed,
    /// Neither: our own deadline was too short, or the provider asked for time.
    Unknown,
}

/// The state for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Attempts leave.
    Closed = 0,
    /// One attempt probes, or may.
    HalfOpen = 1,
    /// No attempt leaves.
    Open = 2,
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Arc<Mutex<State>>,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures_in_a_row: u32 },
    Open { until: Instant },
    Probing,
}

/// The right to make one attempt. Dropped without a verdict, it gives the place of a probe to the next.
#[derive(Debug)]
pub(super) struct Admission {
    settings: BreakerSettings,
    state: Arc<Mutex<State>>,
    clock: Clock,
    is_probe: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings, clock: Clock) -> Self {
        Self { settings, state: Arc::new(Mutex::new(State::Closed { failures_in_a_row: 0 })), clock }
    }

    /// Closes it, as at the start.
    pub(super) fn reset(&self) {
        *lock(&self.state) = State::Closed { failures_in_a_row: 0 };
    }

    /// Admits one attempt, or says after what time it is worth asking again.
    pub(super) fn admit(&self, now: Instant) -> Result<Admission, Duration> {
        let mut state = lock(&self.state);
        if let Some(wait) = state.wait(now) {
            return Err(wait);
        }
        let is_probe = !matches!(*state, State::Closed { .. });
        if is_probe {
            *state = State::Probing;
        }
        Ok(Admission { settings: self.settings, state: Arc::clone(&self.state), clock: self.clock, is_probe })
    }

    /// How long no attempt can leave; `None` where one may.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        lock(&self.state).wait(now)
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match *lock(&self.state) {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::Probing => BreakerState::HalfOpen,
        }
    }
}

impl State {
    fn wait(&self, now: Instant) -> Option<Duration> {
        match *self {
            Self::Open { until } if now < until => Some(until - now),
            // The probe's outcome is not known; an attempt takes seconds.
            Self::Probing => Some(Duration::from_secs(1)),
            Self::Closed { .. } | Self::Open { .. } => None,
        }
    }
}

impl Admission {
    /// Tells how the attempt ended.
    pub(super) fn settle(mut self, verdict: Verdict, now: Instant) {
        let open = State::Open { until: now + self.settings.cooldown };
        let mut state = lock(&self.state);
        *state = match (*state, verdict) {
            (State::Closed { .. }, Verdict::Success) => State::Closed { failures_in_a_row: 0 },
            (State::Closed { failures_in_a_row }, Verdict::Failed) => {
                let failures_in_a_row = failures_in_a_row + 1;
                if failures_in_a_row >= self.settings.failures {
                    open
                } else {
                    State::Closed { failures_in_a_row }
                }
            }
            (State::Probing, Verdict::Success | Verdict::Answered) if self.is_probe => {
                State::Closed { failures_in_a_row: 0 }
            }
            (State::Probing, Verdict::Failed) if self.is_probe => open,
            (State::Probing, Verdict::Unknown) if self.is_probe => State::Open { until: now },
            // An attempt that left before the breaker opened says nothing about now.
            (unchanged, _) => unchanged,
        };
        drop(state);
        self.is_probe = false;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if self.is_probe && matches!(*state, State::Probing) {
            *state = State::Open { until: (self.clock)().monotonic };
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const COOLDOWN: Duration = Duration::from_secs(10);

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(BreakerSettings { failures: 3, cooldown: COOLDOWN }, clock::now);
        for _ in 0..3 {
            breaker.admit(now).unwrap().settle(Verdict::Failed, now);
        }
        breaker
    }

    #[test]
    fn a_row_of_failures_opens_it_for_the_cooldown() {
        let now = clock::now().monotonic;
        let breaker = opened(now);

        assert_eq!(breaker.admit(now + Duration::from_secs(4)).unwrap_err(), Duration::from_secs(6));
        assert_eq!(breaker.state(now), BreakerState::Open);
        assert_eq!(breaker.state(now + COOLDOWN), BreakerState::HalfOpen);
    }

    #[test]
    fn only_a_balance_starts_the_row_anew() {
        let now = clock::now().monotonic;
        let breaker = Breaker::new(BreakerSettings { failures: 3, cooldown: COOLDOWN }, clock::now);
        let attempt = |verdict| breaker.admit(now).unwrap().settle(verdict, now);

        attempt(Verdict::Failed);
        attempt(Verdict::Answered);
        attempt(Verdict::Failed);
        attempt(Verdict::Success);
        attempt(Verdict::Failed);
        attempt(Verdict::Unknown);
        attempt(Verdict::Failed);
        assert_eq!(breaker.state(now), BreakerState::Closed);

        attempt(Verdict::Failed);
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn one_probe_decides() {
        let now = clock::now().monotonic;
        let later = now + COOLDOWN;
        for (verdict, state) in [
            (Verdict::Success, BreakerState::Closed),
            (Verdict::Answered, BreakerState::Closed),
            (Verdict::Failed, BreakerState::Open),
            (Verdict::Unknown, BreakerState::HalfOpen),
        ] {
            let breaker = opened(now);
            let probe = breaker.admit(later).unwrap();
            assert!(breaker.admit(later).is_err());

            probe.settle(verdict, later);

            assert_eq!(breaker.state(later), state, "{verdict:?}");
        }
    }

    #[test]
    fn a_probe_that_never_left_gives_its_place_to_the_next() {
        let breaker = opened(clock::now().monotonic.checked_sub(COOLDOWN).unwrap());

        drop(breaker.admit(clock::now().monotonic).unwrap());

        assert!(breaker.admit(clock::now().monotonic).is_ok());
    }
}
