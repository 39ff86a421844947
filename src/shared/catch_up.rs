//! Catching up: before a replica shares, it reads the invalidations that it missed, and writes its own again.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

use futures_util::stream::{StreamExt, TryStreamExt};

use super::account::SharedAccount;
use super::error::StoreError;
use super::handle::Shared;
use crate::domain::{BalanceKey, MaxAge, StoreTime};
use crate::metrics::SharedError;

/// The number of concurrent look-ups while this replica catches up.
const AT_ONCE: usize = 128;
/// The number of attempts of an operation that times out while this replica catches up.
const TRIES: usize = 5;

impl Shared {
    /// Reads the marks that this replica missed and the state of the breakers. Writes this replica's invalidations and
    /// calls again, which the store may have lost. Returns the number of the last read of each balance.
    pub(super) async fn catch_up(&self) -> Result<Vec<(BalanceKey, u64)>, StoreError> {
        let last_reads = at_once(self.places.names(), |name| self.catch_up_with(name)).await?;
        for breaker in self.breakers() {
            patiently(|| breaker.catch_up()).await?;
        }
        let now = (self.tier.store.clock)().monotonic;
        let own: Vec<(BalanceKey, Instant)> = {
            let own = self.tier.own_marks(now);
            let mut own: Vec<_> = own.iter().map(|(key, at)| (*key, *at)).collect();
            own.sort_unstable_by_key(|(key, _)| *key.as_bytes());
            own
        };
        // A removed balance needs no mark.
        let is_configured = |(key, at)| Some((self.places.find_by_key(&key)?, at));
        let configured = own.into_iter().filter_map(is_configured).collect();
        at_once(configured, |((account, index), at)| async move {
            let mark = patiently(|| account.mark(std::slice::from_ref(&index))).await?;
            self.tier.notify_own_mark(account.balances[index].key, mark.as_micros(), at);
            Ok(())
        })
        .await?;
        // Last, because a store that accepts no writes can still return marks.
        at_once(self.accounts(), |account| async move {
            account.restore_calls().await;
            Ok(())
        })
        .await?;
        Ok(last_reads.into_iter().flatten().collect())
    }

    /// Every account that is in use, in a stable order.
    fn accounts(&self) -> Vec<Arc<SharedAccount>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut accounts: Vec<_> = accounts.values().filter_map(Weak::upgrade).collect();
        accounts.sort_unstable_by(|one, other| one.state_key.cmp(&other.state_key));
        accounts
    }

    /// Reads the mark of one balance, and returns the number of its last read. If the store does not answer in time,
    /// the balance counts as invalidated, so that one slow look-up does not end the whole link.
    async fn catch_up_with(&self, name: String) -> Result<Option<(BalanceKey, u64)>, StoreError> {
        let Some((account, index)) = self.places.find_by_name(&name) else { return Ok(None) };
        let balance = &account.balances[index];
        match patiently(|| account.look(index)).await {
            Ok(looked) => {
                let since = looked.now.since(StoreTime::from_micros(looked.mark));
                if looked.mark > 0 && since < MaxAge::CEILING.get() {
                    let highest = balance.note_number(0);
                    // If the store lost its numbers, its mark may be too low: it is raised to the highest number seen
                    // here.
                    let mark = if looked.last < highest { looked.mark.max(highest) } else { looked.mark };
                    self.tier.notify_mark(balance.key, mark);
                }
                Ok(Some((balance.key, looked.last)))
            }
            Err(StoreError(SharedError::Timeout)) => {
                self.tier.notify_mark(balance.key, balance.note_number(0));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs the operation for each item, up to [`AT_ONCE`] concurrently.
async fn at_once<T, R, F: Future<Output = Result<R, StoreError>>>(
    all: Vec<T>,
    operation: impl Fn(T) -> F,
) -> Result<Vec<R>, StoreError> {
    futures_util::stream::iter(all).map(operation).buffer_unordered(AT_ONCE).try_collect().await
}

/// Repeats the operation while the store does not answer in time, up to [`TRIES`] attempts in all.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    operation: impl Fn() -> F,
) -> Result<T, StoreError> {
    for _ in 1..TRIES {
        match operation().await {
            Err(StoreError(SharedError::Timeout)) => {}
            ended => return ended,
        }
    }
    operation().await
}
