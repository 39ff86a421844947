//! The parts that all accounts of one provider share: its client, its slots, its breaker and its retry reserve.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::failure::{FailedRead, FailureLog, Last};
use super::limits::{Breaker, BreakerSettings, BreakerState, BudgetSettings, RetryReserve};
use super::network::{Client, ClientError, ClientSettings, Transport};
use crate::domain::{Clock, Moment, ProviderName, UpstreamError};
use crate::metrics::ProviderMetrics;
use crate::providers::Adapter;
use crate::shared::SharedBreaker;

/// The settings of one provider.
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
    /// The settings of its connections and of TLS.
    pub client: ClientSettings,
    /// Time for one attempt, body included.
    pub attempt_timeout: Duration,
    /// Time for a whole read.
    pub deadline: Duration,
    /// Most attempts after the first.
    pub retries: u32,
    /// Most reads at the same time.
    pub max_concurrency: u32,
    /// Limit of the outgoing calls of each account.
    pub budget: BudgetSettings,
    /// When attempts are suspended, and for how long.
    pub breaker: BreakerSettings,
}

/// One provider at run time.
#[derive(Debug)]
pub struct UpstreamProvider {
    pub(super) settings: ProviderSettings,
    pub(super) slots: Arc<Semaphore>,
    pub(super) reserve: Arc<RetryReserve>,
    pub(super) metrics: Arc<ProviderMetrics>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) clock: Clock,
    pub(super) breaker: Breaker,
    pub(super) in_flight: Arc<AtomicU64>,
    pub(super) last: Arc<Mutex<Last>>,
    pub(super) failures: Arc<FailureLog>,
}

impl UpstreamProvider {
    /// Makes the client and an empty state.
    ///
    /// # Errors
    /// [`ClientError`] when a certificate or key cannot be used.
    pub fn new(
        settings: ProviderSettings,
        clock: Clock,
        shared: Option<Arc<SharedBreaker>>,
        metrics: Arc<ProviderMetrics>,
    ) -> Result<Self, ClientError> {
        let client = Client::new(&settings.client, settings.attempt_timeout)?;
        Ok(Self::over(Arc::new(client), clock, settings, shared, metrics))
    }

    /// A provider with this transport and this clock.
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
            reserve: Arc::new(RetryReserve::full(clock().monotonic)),
            metrics,
            transport,
            clock,
            breaker: Breaker::new(settings.breaker, shared, clock),
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

    /// The same provider with other settings. Its breaker and its connections start from scratch, an unchanged limit keeps
    /// its state, and running calls end undisturbed.
    ///
    /// # Errors
    /// [`ClientError`] when a certificate or key cannot be used.
    pub fn reconfigured(
        self: &Arc<Self>,
        settings: ProviderSettings,
        shared: Option<Arc<SharedBreaker>>,
    ) -> Result<Arc<Self>, ClientError> {
        if self.settings == settings && self.breaker.is_shared_by(shared.as_ref()) {
            return Ok(Arc::clone(self));
        }
        let fresh = Self::new(settings, self.clock, shared, Arc::clone(&self.metrics))?;
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

    /// The same provider with other settings, but with its present certificates.
    ///
    /// # Errors
    /// [`ClientError`] when these cannot be used with the other settings either.
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

    /// Closes the breaker, because the cause of the failures may be gone.
    pub fn reset_breaker(&self) {
        self.breaker.reset();
    }

    /// The budget of each of its accounts.
    #[must_use]
    pub fn budget(&self) -> BudgetSettings {
        self.settings.budget
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
        self.breaker.state(self.now().monotonic)
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The last success and failure.
    #[must_use]
    pub fn last(&self) -> Last {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of an attempt that the breaker does not admit now; `None` if it admits one.
    pub(super) fn suspension(&self, now: Instant) -> Option<FailedRead> {
        self.breaker.wait(now).map(|wait| FailedRead::unsent(UpstreamError::Suspended, wait))
    }
}
