//! The use cases: which accounts there are, and what one balance is for one caller. Knows neither HTTP in nor out.

mod account;
mod balance;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use account::{Account, AccountSettings, BalanceSlot, Selection};
pub use balance::{Asked, Found, Refusal, Via};
pub use status::{AccountStatus, BalanceStatus, ProviderStatus, Status};

pub use crate::cache::{Absence, Clock};

use crate::cache::BalanceCache;
use crate::domain::{AccountName, ProviderName};
use crate::upstream::UpstreamProvider;

/// Every account and what is known of its balances.
#[derive(Debug)]
pub struct Gateway {
    accounts: BTreeMap<AccountName, Arc<Account>>,
    providers: BTreeMap<ProviderName, Arc<UpstreamProvider>>,
    cache: BalanceCache,
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
            clock,
        }
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
