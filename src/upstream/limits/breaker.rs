//! The circuit breaker of one provider. Each replica has its own; replicas that share have one more for all of them.
//!
//! A replica's own breaker counts every failed attempt. The shared one counts only what the provider answered: one
//! replica with a broken network must not suspend a provider for the others.

mod local;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use local::{BreakerSettings, BreakerState};
use local::{LocalAdmission, LocalBreaker};

use crate::domain::{AttemptSignal, Clock, UpstreamError};
use crate::shared::{SharedAdmission, SharedBreaker, StoreWait};
use crate::upstream::failure::classify;

/// The breaker of one provider: alone, or together with other replicas.
#[derive(Debug)]
pub(in crate::upstream) struct Breaker {
    local: LocalBreaker,
    shared: Option<Arc<SharedBreaker>>,
}

/// The right to make one attempt. If a probe is dropped without a signal, the next attempt probes.
pub(in crate::upstream) struct Admission {
    local: LocalAdmission,
    shared: Option<SharedAdmission>,
}

impl Breaker {
    pub(in crate::upstream) fn new(
        settings: BreakerSettings,
        shared: Option<Arc<SharedBreaker>>,
        clock: Clock,
    ) -> Self {
        Self { local: LocalBreaker::new(settings, clock), shared }
    }

    /// Whether this is the breaker that it shares with other replicas, or neither has one.
    pub(in crate::upstream) fn is_shared_by(&self, shared: Option<&Arc<SharedBreaker>>) -> bool {
        self.shared.as_ref().map(Arc::as_ptr) == shared.map(Arc::as_ptr)
    }

    /// Closes the breaker here and at every replica. If it is closed already, this still resets the count of failures,
    /// also in the store.
    pub(in crate::upstream) fn reset(&self) {
        self.local.reset();
        if let Some(shared) = &self.shared {
            shared.reset();
        }
    }

    /// Admits one attempt, or returns the time until the next may be admitted. `wait` is the time that a read may still
    /// wait for the store.
    pub(in crate::upstream) async fn admit(
        &self,
        now: Instant,
        wait: &tokio::sync::Mutex<Option<StoreWait>>,
    ) -> Result<Admission, Duration> {
        let local = self.local.admit(now)?;
        let shared = match &self.shared {
            // Boxed: only a probe waits there.
            Some(shared) => Some(Box::pin(shared.admit(wait.lock().await.as_mut())).await?),
            None => None,
        };
        Ok(Admission { local, shared })
    }

    /// The time until an attempt may be admitted; `None` if one may be now.
    pub(in crate::upstream) fn wait(&self, now: Instant) -> Option<Duration> {
        self.local.wait(now).or_else(|| self.shared.as_ref()?.wait(now))
    }

    /// The more open state of the two breakers.
    pub(in crate::upstream) fn state(&self, now: Instant) -> BreakerState {
        let shared = match &self.shared {
            Some(shared) if shared.wait(now).is_some() => BreakerState::Open,
            Some(shared) if shared.is_open() => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        };
        self.local.state(now).max(shared)
    }
}

impl Admission {
    /// Records the end of the attempt.
    pub(in crate::upstream) fn record(
        self,
        failed: Option<UpstreamError>,
        signal: AttemptSignal,
        now: Instant,
    ) {
        self.local.record(signal, now);
        if let Some(shared) = self.shared {
            shared.settle(classify::signal_to_replicas(failed, signal));
        }
    }
}
