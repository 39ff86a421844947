//! Listeners to what the cache stores of a balance: event streams follow balances through them.
//!
//! The cache holds listeners weakly: a listener that its owner drops hears nothing more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::entry::Entry;
use crate::domain::{BalanceKey, Failure, Snapshot};

/// Hears of one balance.
pub trait Listener: Send + Sync {
    /// A read has ended: the youngest snapshot so far, and how the read failed if it did.
    fn stored(&self, snapshot: Option<&Arc<Snapshot>>, failure: Option<Failure>);

    /// A read of another replica has ended; its number in the shared store's order.
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

    /// Tells the balance's listener what is stored of it now.
    pub(super) fn stored(&self, key: &BalanceKey, entry: &Entry) {
        if let Some(listener) = self.of(key) {
            listener.stored(entry.snapshot(), entry.failure());
        }
    }

    /// Tells the balance's listener that a read of another replica has ended.
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
