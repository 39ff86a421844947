//! The accounts of one configuration, and the gateway that serves their balances.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::Account;
use super::events::Channels;
use super::notifications::Notifications;
use crate::cache::BalanceCache;
use crate::domain::{AccountName, Clock, Moment, ProviderName};
use crate::upstream::UpstreamProvider;

/// All accounts with their balances.
#[derive(Debug)]
pub struct Gateway {
    pub(super) accounts: BTreeMap<AccountName, Arc<Account>>,
    pub(super) providers: BTreeMap<ProviderName, Arc<UpstreamProvider>>,
    pub(super) cache: BalanceCache,
    /// The open channels of this configuration's event streams.
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

    /// The clock that decides ages.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// This moment on that clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        (self.clock)()
    }

    /// Makes the next gateway in a reload. An account with another identity does not find old snapshots, and callers
    /// that wait for its old reads look up again.
    #[must_use]
    pub fn reconfigured(
        &self,
        accounts: Vec<Account>,
        providers: Vec<Arc<UpstreamProvider>>,
        cache: BalanceCache,
    ) -> Self {
        let follow = |account: Account| {
            let before = self.accounts.get(account.name()).cloned();
            account.after(before.as_deref())
        };
        let accounts = accounts.into_iter().map(follow).collect();
        let next = Self::new(accounts, providers, cache, self.clock);
        let next = Self { notifications: self.notifications.clone(), ..next };
        for (name, old) in &self.accounts {
            if let Some(new) = next.accounts.get(name)
                && !new.has_identity_of(old.settings())
            {
                // Only the last account of an identity gets a successor, so this cannot be set twice.
                let _ = old.successor.set(Arc::clone(new));
            }
        }
        next
    }

    /// Ends the hold of refused credentials, because they have changed.
    pub async fn forget_refusals(&self, account: &AccountName) {
        let Some(account) = self.accounts.get(account) else { return };
        for slot in account.balances() {
            self.cache.forget_refusal(&slot.key).await;
        }
    }

    /// Drops the stored balances of an account whose identity has changed. The account may have had its new identity
    /// before: then old snapshots would be found under its keys.
    pub async fn forget_balances(&self, account: &AccountName) {
        let Some(account) = self.accounts.get(account) else { return };
        let keys: Vec<_> = account.balances().iter().map(|slot| slot.key).collect();
        let removed_at = self.cache.remove(&keys).await;
        // If the store does not answer, the mark makes its snapshots too old.
        self.cache.invalidate_everywhere(&keys, removed_at.monotonic).await;
    }

    /// Every provider, sorted by name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<UpstreamProvider>> {
        self.providers.values()
    }

    /// Finds an account. Check first that the caller may read it.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.get(name)
    }

    /// Every account, sorted by name.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }
}
