//! The state of the gateway for people and gauges: breakers, budgets, tokens, ages. It contains no secret, and amounts
//! only for gauges.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::account::BalanceSlot;
use super::state::Gateway;
use crate::domain::{AccountName, BalanceType, Currency, Level, Limits, ProviderName, Snapshot, rounded_up};
use crate::upstream::BreakerState;

/// The state of all providers and accounts.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Sorted by name.
    pub providers: Vec<ProviderStatus>,
    /// Sorted by name.
    pub accounts: Vec<AccountStatus>,
}

/// The state of one provider.
#[derive(Debug, Serialize)]
pub struct ProviderStatus {
    /// Its configured name.
    pub provider: ProviderName,
    /// The breaker's state.
    pub breaker: BreakerState,
    /// The breaker's state as a number: 0 closed, 1 half-open, 2 open.
    #[serde(skip)]
    pub breaker_level: u8,
    /// Calls in flight.
    pub in_flight: u64,
    /// When a balance was last read.
    pub last_success: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure: Option<Timestamp>,
    /// The kind of that failure.
    pub last_failure_kind: Option<&'static str>,
    /// Which call it was and why it failed, down to the last cause.
    pub last_failure_reason: Option<String>,
}

/// The state of one account.
#[derive(Debug, Serialize)]
pub struct AccountStatus {
    /// Its configured name.
    pub account: AccountName,
    /// Its provider.
    pub provider: ProviderName,
    /// False when the account or its provider is disabled.
    pub enabled: bool,
    /// Outgoing calls allowed in any period.
    pub budget_limit: u32,
    /// Outgoing calls that may be made now.
    pub budget_remaining: u32,
    /// When its token expires.
    pub token_expires_at: Option<Timestamp>,
    /// Whether the provider refuses a newer credential and the old one is in use.
    pub credential_rejected: bool,
    /// Its balances as configured.
    pub balances: Vec<BalanceStatus>,
}

/// The state of one balance.
#[derive(Debug, Serialize)]
pub struct BalanceStatus {
    /// The currency, once known.
    pub currency: Option<Currency>,
    /// The configured type.
    pub r#type: Option<BalanceType>,
    /// When the stored snapshot's upstream request was sent.
    pub requested_at: Option<Timestamp>,
    /// Its age in whole seconds, rounded up.
    pub age_seconds: Option<u64>,
    /// Its alert levels and whether they are reached, for gauges.
    #[serde(skip)]
    pub alerts: Vec<(Level, bool)>,
    /// Its amounts while it may be served, for gauges.
    #[serde(skip)]
    pub served: Option<Arc<Snapshot>>,
}

impl Gateway {
    /// The present state of all providers and accounts.
    pub async fn status(&self) -> Status {
        let provider = |provider: &Arc<crate::upstream::UpstreamProvider>| {
            let (last, breaker) = (provider.last(), provider.breaker_state());
            ProviderStatus {
                provider: provider.name().clone(),
                breaker,
                breaker_level: breaker as u8,
                in_flight: provider.in_flight(),
                last_success: last.success,
                last_failure: last.failure.map(|failure| failure.at),
                last_failure_kind: last.failure.map(|failure| failure.kind.as_str()),
                last_failure_reason: last.failure.map(|failure| failure.to_string()),
            }
        };
        let mut accounts = Vec::with_capacity(self.accounts.len());
        for account in self.accounts.values() {
            let mut balances = Vec::with_capacity(account.balances().len());
            for slot in account.balances() {
                balances.push(self.balance_status(slot, account.limits()).await);
            }
            accounts.push(AccountStatus {
                account: account.name().clone(),
                provider: account.provider().clone(),
                enabled: account.is_enabled(),
                budget_limit: account.upstream.budget_limit(),
                budget_remaining: account.upstream.budget_remaining(),
                token_expires_at: account.upstream.token_expiry(),
                credential_rejected: account.upstream.is_credential_rejected(),
                balances,
            });
        }
        Status { providers: self.providers.values().map(provider).collect(), accounts }
    }

    async fn balance_status(&self, slot: &BalanceSlot, limits: Limits) -> BalanceStatus {
        let snapshot = self.cache.stored(&slot.key).await;
        let known = snapshot.as_deref();
        let age = known.map(|snapshot| snapshot.age_at((self.clock)()));
        BalanceStatus {
            currency: known.map(Snapshot::currency).or(slot.selector.currency),
            r#type: slot.selector.r#type.clone(),
            requested_at: known.map(Snapshot::fetched_at),
            age_seconds: age.map(rounded_up),
            alerts: known.map(|snapshot| slot.alerts.judge(snapshot.reading())).unwrap_or_default(),
            served: snapshot.filter(|_| age.is_some_and(|age| limits.max_age.allows(age))),
        }
    }
}
