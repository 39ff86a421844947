//! The way to the providers: authorise, send, bound, classify, parse, measure. The only place that calls out.
//!
//! One [`Upstream`] is one account's way to its provider; what the accounts of a provider share is in
//! `provider.rs`. Deadlines nest: connect within attempt within read.

mod attempt;
mod breaker;
mod budget;
mod classify;
mod client;
mod clock;
mod credentials;
mod failure_log;
mod hold;
mod jwks;
mod provider;
mod renewal;
mod retry;
mod rotation;
mod stop;
mod token;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout_at;

pub use breaker::{BreakerSettings, BreakerState};
pub use budget::BudgetSettings;
pub use client::{ClientError, ClientSettings};
pub use credentials::{ClientCredentials, Credential};
pub use jwks::{JwksClient, JwksError, JwksSettings};
pub use provider::{Last, ProviderSettings, UpstreamProvider};

use crate::domain::{
    AccountName, Answer, Currency, Failure, MaxAge, Priority, Selector, Snapshot, UpstreamError,
};
use crate::metrics::{Operation, ReadRefusal};
use crate::trace;
use budget::Budget;
use credentials::Credentials;
use hold::Holds;
use stop::Stop;
use token::{Token, Tokens};

/// What an account's way to its provider is made from.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Whose way it is.
    pub account: AccountName,
    /// Whom it asks.
    pub provider: Arc<UpstreamProvider>,
    /// What it authenticates with.
    pub credential: Credential,
    /// Its balances, in the order in which [`Upstream::read`] counts them.
    pub selectors: Vec<Selector>,
    /// The oldest `Age` that an answer may carry.
    pub max_age: MaxAge,
}

/// One account's way to its provider.
#[derive(Debug)]
pub struct Upstream {
    account: AccountName,
    provider: Arc<UpstreamProvider>,
    credentials: Arc<Credentials>,
    balances: Vec<Balance>,
    max_age: MaxAge,
    tokens: Arc<Tokens>,
    budget: Budget,
    /// Holds that concern every balance of the account.
    holds: Arc<Holds>,
    mismatch_logged: Arc<Mutex<Option<Instant>>>,
}

/// A snapshot and when the request that brought it was really sent, whatever `Age` its answer carried.
type Sent = (Snapshot, Instant);

/// What is remembered of one balance.
#[derive(Debug)]
struct Balance {
    selector: Selector,
    /// What came back first for a balance that is asked without filters.
    first_currency: OnceLock<Currency>,
    holds: Arc<Holds>,
}

impl Upstream {
    /// Makes the way of an account to its provider; nothing is asked yet.
    #[must_use]
    pub fn new(settings: UpstreamSettings) -> Self {
        let balance = |selector| Balance { selector, first_currency: OnceLock::new(), holds: Arc::default() };
        Self {
            account: settings.account,
            budget: Budget::new(settings.provider.settings.budget),
            provider: settings.provider,
            credentials: Arc::new(Credentials::new(settings.credential)),
            balances: settings.selectors.into_iter().map(balance).collect(),
            max_age: settings.max_age,
            tokens: Arc::default(),
            holds: Arc::default(),
            mismatch_logged: Arc::default(),
        }
    }

    /// The same account under other settings. Budget and holds belong to its name and stay; tokens and the credential
    /// before a rotation stay while its identity does. Reads under way end undisturbed.
    #[must_use]
    pub fn reconfigured(self: &Arc<Self>, settings: UpstreamSettings, keeps_identity: bool) -> Arc<Self> {
        let now = clock::now().monotonic;
        let is_other =
            if keeps_identity { self.credentials.replace(settings.credential.clone(), now) } else { None };
        let keeps_identity = is_other.is_some();
        let [old, new] = [&self.provider, &settings.provider].map(|provider| &provider.settings.client);
        if is_other != Some(false) || !new.has_identity_of(old) {
            self.holds.end_refusals();
            settings.provider.reset_breaker();
        }
        let selectors = self.balances.iter().map(|balance| &balance.selector);
        if keeps_identity
            && Arc::ptr_eq(&self.provider, &settings.provider)
            && selectors.eq(&settings.selectors)
            && self.max_age == settings.max_age
        {
            return Arc::clone(self);
        }
        let mut next = Self::new(settings);
        next.budget = self.budget.resized(next.provider.settings.budget);
        next.holds = Arc::clone(&self.holds);
        next.mismatch_logged = Arc::clone(&self.mismatch_logged);
        for balance in &mut next.balances {
            let Some(old) = self.balances.iter().find(|old| old.selector == balance.selector) else {
                continue;
            };
            balance.holds = Arc::clone(&old.holds);
            if keeps_identity {
                balance.first_currency = old.first_currency.clone();
            }
        }
        if keeps_identity {
            next.credentials = Arc::clone(&self.credentials);
            next.tokens = Arc::clone(&self.tokens);
        }
        let next = Arc::new(next);
        // The renewals of the old way end with it.
        if let Some(token) = next.tokens.live(now) {
            next.renew_ahead(token);
        }
        next
    }

    /// Whether the newest credential was refused, and the one before it is in use.
    #[must_use]
    pub fn is_credential_rejected(&self) -> bool {
        self.credentials.is_rejected(clock::now().monotonic)
    }

    /// Outgoing calls allowed in any period.
    #[must_use]
    pub fn budget_limit(&self) -> u32 {
        self.budget.limit()
    }

    /// Outgoing calls that may leave now.
    #[must_use]
    pub fn budget_remaining(&self) -> u32 {
        self.budget.remaining(clock::now().monotonic)
    }

    /// When the account's token expires; `None` without one of ours.
    #[must_use]
    pub fn token_expiry(&self) -> Option<Timestamp> {
        self.tokens.expiry()
    }

    /// Counts a read that was refused because a failure is held.
    pub fn note_refused_by_hold(&self) {
        self.provider.metrics.refused(ReadRefusal::Hold);
    }

    /// Asks the provider for the balance with this index: one whole read, attempts and token included.
    pub async fn read(self: &Arc<Self>, index: usize, priority: Priority) -> Answer {
        let started = clock::now().monotonic;
        let balance = &self.balances[index];
        trace::note_read(self.provider.name(), &self.account, &balance.selector);
        if let Some((error, until)) = self.holds.held(started).or_else(|| balance.holds.held(started)) {
            self.note_refused_by_hold();
            let failure = Failure { error, retry_at: Some(until), is_held: true };
            return Answer { priority, sent_at: started, result: Err(failure) };
        }
        let deadline = started + self.provider.settings.deadline;
        // Kept until its failure is held, so that who gets the slot next knows of it.
        let slot = self.admitted(deadline).await;
        let read = match &slot {
            Ok(_) => self.attempts(balance, priority, deadline).await,
            Err(stop) => Err(*stop),
        };
        match read {
            Ok((snapshot, sent_at)) => {
                self.holds.end(sent_at);
                balance.holds.end(sent_at);
                Answer { priority, sent_at, result: Ok(Arc::new(snapshot)) }
            }
            Err(stop) => {
                let now = clock::now().monotonic;
                let sent_at = stop.sent_at.unwrap_or(now);
                Answer { priority, sent_at, result: Err(self.hold(balance, &stop, now)) }
            }
        }
    }

    fn hold(&self, balance: &Balance, stop: &Stop, now: Instant) -> Failure {
        let holds = if stop.concerns_account() { &self.holds } else { &balance.holds };
        let held_until = holds.begin(stop.error, stop.hold, stop.sent_at.unwrap_or(now), now);
        Failure {
            error: stop.error,
            retry_at: held_until.or(stop.retry_in.map(|wait| now + wait)),
            is_held: held_until.is_some(),
        }
    }

    async fn admitted(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Stop> {
        if let Some(stop) = self.provider.is_suspended(clock::now().monotonic) {
            self.provider.metrics.refused(ReadRefusal::Breaker);
            return Err(stop);
        }
        self.slot(deadline).await
    }

    /// The first attempt, and the retries.
    async fn attempts(
        self: &Arc<Self>,
        balance: &Balance,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Sent, Stop> {
        self.provider.reserve.note_read();
        let (mut attempt, mut failed_before) = (1, None);
        loop {
            let stop = match self.authorised_attempt(balance, priority, deadline).await {
                Ok(sent) => return Ok(sent),
                Err(stop) => stop,
            };
            // A retry that was not let out leaves the problem of the attempt before.
            let stop = failed_before.filter(|_| stop.sent_at.is_none()).unwrap_or(stop);
            let now = clock::now().monotonic;
            let pause = retry::pause(attempt);
            let is_over = attempt > self.provider.settings.retries || !stop.error.is_retryable();
            if is_over
                || now + pause >= deadline
                || !self.may_leave(priority)
                || !self.provider.reserve.take(now)
            {
                return Err(stop);
            }
            tokio::time::sleep(pause).await;
            if !self.may_leave(priority) {
                return Err(stop);
            }
            self.provider.metrics.retried();
            (attempt, failed_before) = (attempt + 1, Some(stop));
        }
    }

    /// Waits for one of the provider's slots, as long as there would be time left to ask.
    async fn slot(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Stop> {
        if let Ok(slot) = self.provider.slots.try_acquire() {
            return Ok(slot);
        }
        let slot = timeout_at(deadline.into(), self.provider.slots.acquire()).await;
        match slot {
            Ok(Ok(slot)) if self.has_time_to_connect(deadline) => Ok(slot),
            _ => Err(self.busy()),
        }
    }

    fn has_time_to_connect(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(clock::now().monotonic);
        left >= self.provider.settings.client.connect_timeout
    }

    fn busy(&self) -> Stop {
        self.provider.metrics.refused(ReadRefusal::Concurrency);
        Stop::refused(UpstreamError::Busy, Duration::from_secs(1))
    }

    /// Whether hold, breaker and budget would let an attempt leave now.
    fn may_leave(&self, priority: Priority) -> bool {
        let now = clock::now().monotonic;
        self.not_held().is_ok()
            && self.provider.is_suspended(now).is_none()
            && self.budget.has_room(priority, now)
    }
}

#[cfg(test)]
mod tests;
