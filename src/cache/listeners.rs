//! Listeners to the stored state of balances, for event streams.
//!
//! The cache holds listeners weakly: dropping a listener ends its notifications.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::entry::Entry;
use crate::domain::{BalanceKey, Failure, Snapshot};

/// A listener to one balance.
pub trait Listener: Send + Sync {
    /// Called after a read, with the youngest snapshot so far, and with the failure if the read failed.
    fn stored(&self, snapshot: Option<&Arc<Snapshot>>, failure: Option<Failure>);

    /// Called after a read of another replica, with its number in the shared store's order.
    fn ended_elsewhere(&self, number: u64);
}

/// One listener for each followed balance; clones share them.
#[derive(Clone, Default)]
pub(super) struct Listeners(Arc<RwLock<HashMap<BalanceKey, Weak<dyn Listener>>>>);

impl Listeners {
    /// Sets the listener of a balance.
    pub(super) fn set(&self, key: BalanceKey, listener: Weak<dyn Listener>) {
        let mut listeners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|_, listener| listener.strong_count() > 0);
        listeners.insert(key, listener);
    }

    /// Passes the stored state to the listener of the balance.
    pub(super) fn stored(&self, key: &BalanceKey, entry: &Entry) {
        if let Some(listener) = self.of(key) {
            listener.stored(entry.snapshot(), entry.failure());
        }
    }

    /// Tells the listener of the balance that a read of another replica has ended.
    pub(super) fn ended_elsewhere(&self, key: &BalanceKey, number: u64) {
        if let Some(listener) = self.of(key) {
            listener.ended_elsewhere(number);
        }
    }

    fn of(&self, key: &BalanceKey) -> Option<Arc<dyn Listener>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key)?.upgrade()
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}
