//! The place of every balance: its account, and its number among the account's balances.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::account::SharedAccount;
use crate::domain::BalanceKey;

/// The place of every balance.
#[derive(Default)]
pub(super) struct BalancePlaces {
    /// Each balance by its name in the store, in a fixed order.
    by_name: RwLock<BTreeMap<String, BalancePlace>>,
    /// Each balance's place by its key.
    by_key: RwLock<HashMap<BalanceKey, BalancePlace>>,
}

/// A balance as a part of its account.
#[derive(Clone)]
struct BalancePlace {
    account: Weak<SharedAccount>,
    index: usize,
}

impl BalancePlace {
    fn get(&self) -> Option<(Arc<SharedAccount>, usize)> {
        Some((self.account.upgrade()?, self.index))
    }
}

impl BalancePlaces {
    /// Adds the balances of an account, and removes those of dropped accounts.
    pub(super) fn add(&self, account: &Arc<SharedAccount>) {
        let mut names = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, place| place.account.strong_count() > 0);
        keys.retain(|_, place| place.account.strong_count() > 0);
        for (index, balance) in account.balances.iter().enumerate() {
            let place = BalancePlace { account: Arc::downgrade(account), index };
            names.insert(balance.name.clone(), place.clone());
            keys.insert(balance.key, place);
        }
    }

    /// The names of all balances in the store, in their order.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) fn find_by_name(&self, name: &str) -> Option<(Arc<SharedAccount>, usize)> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name)?.get()
    }

    pub(super) fn find_by_key(&self, key: &BalanceKey) -> Option<(Arc<SharedAccount>, usize)> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner).get(key)?.get()
    }
}
