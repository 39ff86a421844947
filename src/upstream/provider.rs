//! What all accounts of one provider share: its client, its slots, its breaker and its retry reserve; and one
//! attempt, from admission to measurement.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::breaker::{Breaker, BreakerSettings, BreakerState, Verdict};
use super::budget::BudgetSettings;
use super::client::{Client, ClientSettings};
use super::failure_log::FailureLog;
use super::gate::{Gate, Terms};
use super::retry::Reserve;
use super::tls::ClientError;
use super::transport::{Response, Transport};
use super::{Operation, Stop, classify};
use crate::clock;
use crate::domain::{Clock, ErrorKind, Moment, ProviderName, StoreTime, UpstreamError};
use crate::metrics::{Label, ProviderMetrics, ReadRefusal};
use crate::providers::Adapter;
use crate::shared::SharedBreaker;
use crate::trace::{self, Attempt};

/// Files may be closed by then.
const SHORTAGE_PAUSE: Duration = Duration::from_secs(1);

/// How a provider is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// Its configured name.
    pub name: ProviderName,
    /// Its adapter.
    pub adapter: Adapter,
    /// Base URL and balance path.
    pub balance_endpoint: String,
    /// Base URL and token path.
    pub token_endpoint: String,
    /// Connecting and TLS.
    pub client: ClientSettings,
    /// Time for one attempt, body included.
    pub attempt_timeout: Duration,
    /// Time for a whole read.
    pub deadline: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Reads at once.
    pub max_concurrency: u32,
    /// Outgoing calls of each account.
    pub budget: BudgetSettings,
    /// When nobody asks for a while.
    pub breaker: BreakerSettings,
}

/// One provider at run time.
#[derive(Debug)]
pub struct UpstreamProvider {
    pub(super) settings: ProviderSettings,
    pub(super) slots: Arc<Semaphore>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) metrics: Arc<ProviderMetrics>,
    transport: Arc<dyn Transport>,
    pub(super) clock: Clock,
    breaker: Breaker,
    /// The breaker of all replicas, for what the provider answered.
    shared: Option<Arc<SharedBreaker>>,
    in_flight: Arc<AtomicU64>,
    last: Arc<Mutex<Last>>,
    failures: Arc<FailureLog>,
}

/// The last success and failure, for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last {
    /// When a balance last came.
    pub success: Option<Timestamp>,
    /// The last attempt that failed.
    pub failure: Option<LastFailure>,
}

/// One attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct LastFailure {
    /// When it ended.
    pub at: Timestamp,
    /// What was asked for.
    pub operation: Operation,
    /// Its kind, as the metrics count it.
    pub kind: ErrorKind,
    /// Why, down to the last cause.
    pub error: UpstreamError,
}

/// One call and what it is measured against.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) request: http::Request<Vec<u8>>,
    pub(super) gate: &'a Gate,
    pub(super) terms: &'a Terms,
}

/// When an attempt was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// By our clocks.
    pub(super) at: Moment,
    /// By the shared store's: not before it.
    pub(super) instant: Option<StoreTime>,
}

impl fmt::Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} call: {}", self.operation.as_str(), self.error)
    }
}

impl UpstreamProvider {
    /// Makes the client and an empty state.
    ///
    /// # Errors
    /// [`ClientError`] when a certificate or key cannot be used.
    pub fn new(
        settings: ProviderSettings,
        shared: Option<Arc<SharedBreaker>>,
        metrics: Arc<ProviderMetrics>,
    ) -> Result<Self, ClientError> {
        let client = Client::new(&settings.client, settings.attempt_timeout)?;
        Ok(Self::over(Arc::new(client), clock::now, settings, shared, metrics))
    }

    /// A provider over this transport, by this clock.
    #[must_use]
    pub fn over(
        transport: Arc<dyn Transport>,
        clock: Clock,
        settings: ProviderSettings,
        shared: Option<Arc<SharedBreaker>>,
        metrics: Arc<ProviderMetrics>,
    ) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(settings.max_concurrency as usize)),
            reserve: Arc::new(Reserve::full(clock().monotonic)),
            metrics,
            transport,
            clock,
            breaker: Breaker::new(settings.breaker, clock),
            shared,
            in_flight: Arc::default(),
            last: Arc::default(),
            failures: Arc::default(),
            settings,
        }
    }

    /// This moment on the provider's clocks.
    pub(super) fn now(&self) -> Moment {
        (self.clock)()
    }

    /// The same provider under other settings: its breaker and its connections begin anew, a limit that did not change
    /// keeps its state, and calls under way end undisturbed.
    ///
    /// # Errors
    /// [`ClientError`] when a certificate or key cannot be used.
    pub fn reconfigured(
        self: &Arc<Self>,
        settings: ProviderSettings,
        shared: Option<Arc<SharedBreaker>>,
    ) -> Result<Arc<Self>, ClientError> {
        let shares_alike = self.shared.as_ref().map(Arc::as_ptr) == shared.as_ref().map(Arc::as_ptr);
        if self.settings == settings && shares_alike {
            return Ok(Arc::clone(self));
        }
        let fresh = Self::new(settings, shared, Arc::clone(&self.metrics))?;
        let keeps_slots = fresh.settings.max_concurrency == self.settings.max_concurrency;
        Ok(Arc::new(Self {
            slots: if keeps_slots { Arc::clone(&self.slots) } else { fresh.slots },
            reserve: Arc::clone(&self.reserve),
            in_flight: Arc::clone(&self.in_flight),
            last: Arc::clone(&self.last),
            failures: Arc::clone(&self.failures),
            ..fresh
        }))
    }

    /// Likewise, with the certificates of now.
    ///
    /// # Errors
    /// [`ClientError`] when even these cannot be used under the other settings.
    pub fn with_its_identity(
        self: &Arc<Self>,
        settings: ProviderSettings,
        shared: Option<Arc<SharedBreaker>>,
    ) -> Result<Arc<Self>, ClientError> {
        let ClientSettings { extra_ca, identity, .. } = self.settings.client.clone();
        let client = ClientSettings { extra_ca, identity, ..settings.client };
        self.reconfigured(ProviderSettings { client, ..settings }, shared)
    }

    /// Whether secrets go to the same place, in the same form.
    pub(super) fn authorises_like(&self, other: &Self) -> bool {
        let [ours, others] = [self, other].map(|provider| &provider.settings);
        ours.adapter == others.adapter
            && ours.balance_endpoint == others.balance_endpoint
            && ours.token_endpoint == others.token_endpoint
    }

    /// Whether both have the same settings.
    #[must_use]
    pub fn is_configured_like(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    /// Closes the breaker: what failed may have had a cause that is gone.
    pub fn reset_breaker(&self) {
        self.breaker.reset();
        // At every replica, open or not: a row of failures that the store counts ends, too.
        if let Some(shared) = &self.shared {
            shared.reset();
        }
    }

    /// Whether one answer holds every balance of an account.
    #[must_use]
    pub fn answers_all_balances(&self) -> bool {
        self.settings.adapter.answers_all_balances()
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    /// The breaker's state now.
    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        let now = self.now().monotonic;
        let shared = match &self.shared {
            Some(shared) if shared.wait(now).is_some() => BreakerState::Open,
            Some(shared) if shared.is_open() => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        };
        let own = self.breaker.state(now);
        if own as u8 >= shared as u8 { own } else { shared }
    }

    /// Calls that are under way.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The last success and failure.
    #[must_use]
    pub fn last(&self) -> Last {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an attempt could leave now, as far as the breaker knows.
    pub(super) fn is_suspended(&self, now: Instant) -> Option<Stop> {
        let shared = || self.shared.as_ref().and_then(|shared| shared.wait(now));
        self.breaker.wait(now).or_else(shared).map(|wait| Stop::refused(UpstreamError::Suspended, wait))
    }

    /// Makes one attempt. `understand` reads the answer; its error counts as the attempt's.
    pub(super) async fn attempt<T>(
        &self,
        call: Call<'_>,
        understand: impl FnOnce(Response, Sent) -> Result<T, UpstreamError>,
    ) -> Result<T, Stop> {
        let now = self.now();
        let admission = self.breaker.admit(now.monotonic).map_err(|wait| {
            self.metrics.refused(ReadRefusal::Breaker);
            Stop::refused(UpstreamError::Suspended, wait)
        })?;
        let shared = match &self.shared {
            // Boxed: only a probe waits there.
            Some(shared) => {
                Some(Box::pin(shared.admit(call.terms.store_wait.lock().await.as_mut())).await.map_err(
                    |wait| {
                        self.metrics.refused(ReadRefusal::Breaker);
                        Stop::refused(UpstreamError::Suspended, wait)
                    },
                )?)
            }
            None => None,
        };
        let permit = call.gate.permit(call.terms, self.settings.attempt_timeout).await.map_err(|wait| {
            self.metrics.refused(ReadRefusal::Budget);
            Stop::refused(UpstreamError::BudgetExhausted, wait)
        })?;
        let in_flight = InFlight::enter(&self.in_flight);
        let requested_at = self.now();
        let left = call.terms.deadline.saturating_duration_since(requested_at.monotonic);
        let timeout = left.min(self.settings.attempt_timeout);
        let result = self.transport.send(call.operation, call.request, timeout).await;
        let result = result
            .and_then(|answer| understand(answer, Sent { at: requested_at, instant: permit.instant() }));
        drop((permit, in_flight));
        if let Err(error @ UpstreamError::OutOfFiles) = result {
            // No call was made: breakers, metrics and logs say nothing of the provider.
            return Err(Stop::refused(error, SHORTAGE_PAUSE));
        }
        call.terms.was_called.store(true, Ordering::Relaxed);

        let ended = self.now();
        let failed = result.as_ref().err().copied();
        let took = ended.monotonic.saturating_duration_since(requested_at.monotonic);
        self.metrics.attempted(call.operation, took, failed.and_then(UpstreamError::kind));
        let operation = call.operation.as_str();
        trace::note_attempt(Attempt { operation, sent_at: requested_at.wall, took, failed });
        let verdict = match (failed, call.operation) {
            (None, Operation::Balance) => Verdict::Success,
            (None, Operation::Token) => Verdict::Answered,
            (Some(error), _) => classify::verdict(error, timeout * 2 >= self.settings.attempt_timeout),
        };
        admission.settle(verdict, ended.monotonic);
        if let Some(shared) = shared {
            shared.settle(classify::ending(failed, verdict));
        }
        self.note(call.operation, failed, ended);
        result.map_err(|error| Stop::failed(error, call.operation, requested_at.monotonic))
    }

    fn note(&self, operation: Operation, failed: Option<UpstreamError>, now: Moment) {
        match failed {
            None if operation == Operation::Balance => self.failures.worked(self.name()),
            None => {}
            Some(error) => self.failures.failed(self.name(), operation, error, now.monotonic),
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            None if operation == Operation::Balance => last.success = Some(now.wall),
            None => {}
            Some(error) => {
                let failure = |kind| LastFailure { at: now.wall, operation, kind, error };
                last.failure = error.kind().map(failure).or(last.failure);
            }
        }
    }
}

/// Counts a call for as long as it lives, however it ends.
struct InFlight<'a>(&'a AtomicU64);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
