//! The use cases: which accounts there are, and what one balance is for one caller. Knows neither HTTP in nor out.

mod account;
mod balance;
mod events;
mod lookup;
mod notifications;
mod reconciliation;
mod status;
mod sufficiency;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use account::{Account, AccountSettings, BalanceSettings, BalanceSlot, Selection};
pub use balance::{Asked, Forced, Found, Refusal, Via};
pub use events::{Event, Inbox, Report, Subscription};
pub use lookup::{Lookup, Source};
pub use reconciliation::{Finding, Verdict};
pub use status::{AccountStatus, BalanceStatus, ProviderStatus, Status};
pub use sufficiency::Sufficiency;

pub use crate::cache::Absence;

use crate::cache::{BalanceCache, Shared};
use crate::domain::{AccountName, Clock, ProviderName};
use crate::trace::Tracer;
use crate::upstream::UpstreamProvider;
use events::Channels;
use notifications::Notifications;

/// Every account and what is known of its balances.
#[derive(Debug)]
pub struct Gateway {
    accounts: BTreeMap<AccountName, Arc<Account>>,
    providers: BTreeMap<ProviderName, Arc<UpstreamProvider>>,
    cache: BalanceCache,
    /// Those of this configuration.
    channels: Channels,
    notifications: Notifications,
    clock: Clock,
}

impl Gateway {
    /// A gateway for these accounts, with an empty cache.
    #[must_use]
    pub fn new(accounts: Vec<Account>, providers: Vec<Arc<UpstreamProvider>>, clock: Clock) -> Self {
        Self {
            accounts: accounts
                .into_iter()
                .map(|account| (account.name().clone(), Arc::new(account)))
                .collect(),
            providers: providers.into_iter().map(|provider| (provider.name().clone(), provider)).collect(),
            cache: BalanceCache::new(clock),
            channels: Channels::default(),
            notifications: Notifications::default(),
            clock,
        }
    }

    /// The same gateway, sharing what it knows with other replicas; what it knew until now is left behind, but for
    /// invalidations.
    #[must_use]
    pub fn sharing(self, shared: &Arc<Shared>) -> Self {
        Self { cache: self.cache.sharing(shared), ..self }
    }

    /// The gateway with other accounts and providers, over the same cache. What was stored of an account with another
    /// identity is not found any more, and who waits for its reads looks up again.
    #[must_use]
    pub fn reconfigured(&self, accounts: Vec<Account>, providers: Vec<Arc<UpstreamProvider>>) -> Self {
        let next = Self {
            cache: self.cache.clone(),
            notifications: self.notifications.clone(),
            ..Self::new(accounts, providers, self.clock)
        };
        for (name, old) in &self.accounts {
            if let Some(new) = next.accounts.get(name)
                && !new.has_identity_of(old.settings())
            {
                // Only one gateway follows another, so nobody was there before.
                let _ = old.successor.set(Arc::clone(new));
            }
        }
        next
    }

    /// The same gateway, whose reads are traced from now on, or no longer.
    #[must_use]
    pub fn traced(self, tracer: Option<Tracer>) -> Self {
        Self { cache: self.cache.traced(tracer), ..self }
    }

    /// The same gateway, which shares nothing from now on.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { cache: self.cache.alone(), ..self }
    }

    /// Forgets that the credentials of an account were refused: they have changed.
    pub async fn forget_refusals(&self, account: &AccountName) {
        let Some(account) = self.accounts.get(account) else { return };
        for slot in account.balances() {
            self.cache.forget_refusal(&slot.key).await;
        }
    }

    /// Every provider, sorted by name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<UpstreamProvider>> {
        self.providers.values()
    }

    /// Finds an account. Ask only for one that the caller may see.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.get(name)
    }

    /// Every account, sorted by name.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }
}
