//! The units of every caller, and the task that keeps them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::units::Units;

/// The units of every caller.
#[derive(Default)]
pub(super) struct UnitsInUse {
    all: Mutex<Vec<Weak<Units>>>,
    /// Notified when units without a keeper are used.
    woken: Arc<Notify>,
}

impl UnitsInUse {
    /// Notified when units without a keeper are used.
    pub(super) fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }

    pub(super) fn add(&self, units: Units) -> Arc<Units> {
        let units = Arc::new(units);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|units| units.strong_count() > 0);
        all.push(Arc::downgrade(&units));
        units
    }

    /// Keeps the units of active callers; runs until its future is dropped.
    pub(super) async fn keep(&self) {
        let mut keepers = JoinSet::new();
        loop {
            self.woken.notified().await;
            while keepers.try_join_next().is_some() {}
            for units in self.all() {
                if units.wants_keeper() {
                    keepers.spawn(units.keep());
                }
            }
        }
    }

    /// Returns all units of this replica.
    pub(super) async fn give_back(&self) {
        let all = self.all();
        futures_util::future::join_all(all.iter().map(|units| units.give_back())).await;
    }

    fn all(&self) -> Vec<Arc<Units>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}
