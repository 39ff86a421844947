//! When each balance was last invalidated, here or at another replica.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::domain::{BalanceKey, DigestState, Mark, MaxAge};

/// Entries idle for this long belong to removed accounts: each scrape of the metrics reads all others, whose alert
/// levels are judged on the last snapshot, however old it is.
pub(super) const IDLE_LIFE: Duration = Duration::from_hours(24);

/// The marks of every balance; kept as long as a snapshot from before one may be stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Arc<RwLock<HashMap<BalanceKey, Mark, DigestState>>>);

impl Marks {
    /// Marks balances now.
    pub(super) fn invalidate(&self, keys: &[BalanceKey], now: Instant) {
        let mut marks = self.write();
        // Not sooner: a request that came before the process froze still needs it.
        marks.retain(|_, mark| now.saturating_duration_since(mark.at) < IDLE_LIFE);
        for key in keys {
            marks.insert(*key, Mark { at: now, number: None });
        }
    }

    /// Gives the marks that were made here their place in the shared store's order.
    pub(super) fn number(&self, keys: &[BalanceKey], number: u64) {
        let mut marks = self.write();
        for key in keys {
            if let Some(mark) = marks.get_mut(key) {
                mark.number = mark.number.max(Some(number));
            }
        }
    }

    /// Notes a mark of another replica; one that was known already keeps its moment.
    pub(super) fn note(&self, key: BalanceKey, number: u64, now: Instant) {
        let mut marks = self.write();
        let known = marks.get(&key).and_then(|known| known.number);
        if known != Some(number) {
            // A store that was set back counts from below: the higher number and the later moment bind.
            marks.insert(key, Mark { at: now, number: known.max(Some(number)) });
        }
    }

    /// The same marks without their places in an order that is none of another store.
    pub(super) fn without_numbers(&self) -> Self {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let marks = marks.iter().map(|(key, mark)| (*key, Mark { number: None, ..*mark }));
        Self(Arc::new(RwLock::new(marks.collect())))
    }

    /// When the balance was last invalidated; `None` when nothing from before could be served any more.
    pub(super) fn get(&self, key: &BalanceKey, now: Instant) -> Option<Mark> {
        let mark = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()?;
        (now.saturating_duration_since(mark.at) < MaxAge::CEILING.get()).then_some(mark)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<BalanceKey, Mark, DigestState>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
