//! The use cases: which accounts there are, and what one balance is for one caller. Knows neither HTTP in nor out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::Account;
use super::events::Channels;
use super::notifications::Notifications;
use crate::cache::BalanceCache;
use crate::domain::{AccountName, Clock, ProviderName};
use crate::upstream::UpstreamProvider;

/// Every account and what is known of its balances.
#[derive(Debug)]
pub struct Gateway {
    pub(super) accounts: BTreeMap<AccountName, Arc<Account>>,
    pub(super) providers: BTreeMap<ProviderName, Arc<UpstreamProvider>>,
    pub(super) cache: BalanceCache,
    /// Those of this configuration.
    pub(super) channels: Channels,
    pub(super) notifications: Notifications,
    pub(super) clock: Clock,
}

impl Gateway {
    /// Makes a gateway for these accounts over a cache.
    #[must_use]
    pub fn new(
        accounts: Vec<Account>,
        providers: Vec<Arc<UpstreamProvider>>,
        cache: BalanceCache,
        clock: Clock,
    ) -> Self {
        Self {
            accounts: accounts
                .into_iter()
                .map(|account| (account.name().clone(), Arc::new(account)))
                .collect(),
            providers: providers.into_iter().map(|provider| (provider.name().clone(), provider)).collect(),
            cache,
            channels: Channels::default(),
            notifications: Notifications::default(),
            clock,
        }
    }

    /// Makes the next gateway of a reload. An account with another identity does not find what was stored before, and
    /// callers that wait for reads of the old one look up again.
    #[must_use]
    pub fn reconfigured(
        &self,
        accounts: Vec<Account>,
        providers: Vec<Arc<UpstreamProvider>>,
        cache: BalanceCache,
    ) -> Self {
        let next = Self::new(accounts, providers, cache, self.clock);
        let next = Self { notifications: self.notifications.clone(), ..next };
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
