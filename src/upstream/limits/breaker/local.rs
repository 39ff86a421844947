//! The circuit breaker of one replica: it opens after several failures in a row, and after the cool-down one attempt
//! probes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{AttemptSignal, Clock};

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failed attempts in a row; above zero.
    pub failures: u32,
    /// How long it stays open.
    pub cooldown: Duration,
}

/// The state for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Every attempt is admitted.
    Closed = 0,
    /// One attempt probes, or the next one will.
    HalfOpen = 1,
    /// No attempt is admitted.
    Open = 2,
}

#[derive(Debug)]
pub(super) struct LocalBreaker {
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

/// The right to make one attempt. If a probe is dropped without a signal, the next attempt probes.
#[derive(Debug)]
pub(super) struct LocalAdmission {
    settings: BreakerSettings,
    state: Arc<Mutex<State>>,
    clock: Clock,
    is_probe: bool,
}

impl LocalBreaker {
    pub(super) fn new(settings: BreakerSettings, clock: Clock) -> Self {
        Self { settings, state: Arc::new(Mutex::new(State::Closed { failures_in_a_row: 0 })), clock }
    }

    /// Closes the breaker and resets its count of failures.
    pub(super) fn reset(&self) {
        *lock(&self.state) = State::Closed { failures_in_a_row: 0 };
    }

    /// Admits one attempt, or returns the time until the next may be admitted.
    pub(super) fn admit(&self, now: Instant) -> Result<LocalAdmission, Duration> {
        let mut state = lock(&self.state);
        if let Some(wait) = state.wait(now) {
            return Err(wait);
        }
        let is_probe = !matches!(*state, State::Closed { .. });
        if is_probe {
            *state = State::Probing;
        }
        Ok(LocalAdmission {
            settings: self.settings,
            state: Arc::clone(&self.state),
            clock: self.clock,
            is_probe,
        })
    }

    /// The time until an attempt may be admitted; `None` if one may be now.
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
            // Retry hint: the running probe ends within seconds.
            Self::Probing => Some(Duration::from_secs(1)),
            Self::Closed { .. } | Self::Open { .. } => None,
        }
    }
}

impl LocalAdmission {
    /// Records the end of the attempt.
    pub(super) fn record(mut self, signal: AttemptSignal, now: Instant) {
        let open = State::Open { until: now + self.settings.cooldown };
        let mut state = lock(&self.state);
        *state = match (*state, signal) {
            (State::Closed { .. }, AttemptSignal::Balance) => State::Closed { failures_in_a_row: 0 },
            (State::Closed { failures_in_a_row }, AttemptSignal::Failed) => {
                let failures_in_a_row = failures_in_a_row + 1;
                if failures_in_a_row >= self.settings.failures {
                    open
                } else {
                    State::Closed { failures_in_a_row }
                }
            }
            (State::Probing, AttemptSignal::Balance | AttemptSignal::Answered) if self.is_probe => {
                State::Closed { failures_in_a_row: 0 }
            }
            (State::Probing, AttemptSignal::Failed) if self.is_probe => open,
            (State::Probing, AttemptSignal::Unknown) if self.is_probe => State::Open { until: now },
            // An attempt that was sent before the breaker opened proves nothing about the present.
            (unchanged, _) => unchanged,
        };
        drop(state);
        self.is_probe = false;
    }
}

impl Drop for LocalAdmission {
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

    fn opened(now: Instant) -> LocalBreaker {
        let breaker = LocalBreaker::new(BreakerSettings { failures: 3, cooldown: COOLDOWN }, clock::now);
        for _ in 0..3 {
            breaker.admit(now).unwrap().record(AttemptSignal::Failed, now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_the_breaker_for_the_cooldown() {
        let now = clock::now().monotonic;
        let breaker = opened(now);

        assert_eq!(breaker.admit(now + Duration::from_secs(4)).unwrap_err(), Duration::from_secs(6));
        assert_eq!(breaker.state(now), BreakerState::Open);
        assert_eq!(breaker.state(now + COOLDOWN), BreakerState::HalfOpen);
    }

    #[test]
    fn only_a_balance_resets_the_failures_in_a_row() {
        let now = clock::now().monotonic;
        let breaker = LocalBreaker::new(BreakerSettings { failures: 3, cooldown: COOLDOWN }, clock::now);
        let attempt = |signal| breaker.admit(now).unwrap().record(signal, now);

        attempt(AttemptSignal::Failed);
        attempt(AttemptSignal::Answered);
        attempt(AttemptSignal::Failed);
        attempt(AttemptSignal::Balance);
        attempt(AttemptSignal::Failed);
        attempt(AttemptSignal::Unknown);
        attempt(AttemptSignal::Failed);
        assert_eq!(breaker.state(now), BreakerState::Closed);

        attempt(AttemptSignal::Failed);
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn one_probe_decides() {
        let now = clock::now().monotonic;
        let later = now + COOLDOWN;
        for (signal, state) in [
            (AttemptSignal::Balance, BreakerState::Closed),
            (AttemptSignal::Answered, BreakerState::Closed),
            (AttemptSignal::Failed, BreakerState::Open),
            (AttemptSignal::Unknown, BreakerState::HalfOpen),
        ] {
            let breaker = opened(now);
            let probe = breaker.admit(later).unwrap();
            assert!(breaker.admit(later).is_err());

            probe.record(signal, later);

            assert_eq!(breaker.state(later), state, "{signal:?}");
        }
    }

    #[test]
    fn after_a_dropped_probe_the_next_attempt_probes() {
        let breaker = opened(clock::now().monotonic.checked_sub(COOLDOWN).unwrap());

        drop(breaker.admit(clock::now().monotonic).unwrap());

        assert!(breaker.admit(clock::now().monotonic).is_ok());
    }
}
