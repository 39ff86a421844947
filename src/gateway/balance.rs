//! Serves one balance to one caller.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::poll;
use jiff::Timestamp;

use super::account::{Account, BalanceSlot, UpstreamBalance};
use super::context::RequestContext;
use super::forced::Forced;
use super::found::Found;
use super::lookup::Lookup;
use super::refusal::Refusal;
use super::state::Gateway;
use crate::domain::RetryAfter;

impl Gateway {
    /// Serves one balance, with its age. `charge` takes a unit of the caller's forced limit, or returns the time until one is
    /// available.
    ///
    /// # Errors
    /// [`Refusal`] when no snapshot may be served to the caller.
    pub async fn serve<F: Forced>(
        &self,
        account: &Account,
        slot: &BalanceSlot,
        context: &RequestContext,
        charge: impl Fn(Instant) -> Result<F, RetryAfter> + Copy,
    ) -> Result<(Found, Duration), Refusal> {
        let lookup = self.lookup(account, slot)?;
        let finding = pin!(lookup.serve(context, charge));
        match unless_replaced(account, finding).await {
            Ok(served) => served,
            Err(successor) => {
                Box::pin(self.serve(&successor, successor.slot(&slot.selector)?, context, charge)).await
            }
        }
    }

    /// Finds one balance. The code that writes the answer must check its age again.
    ///
    /// # Errors
    /// [`Refusal`] when no snapshot may be served to the caller.
    pub async fn balance<F: Forced>(
        &self,
        account: &Account,
        slot: &BalanceSlot,
        context: &RequestContext,
        charge: impl Fn(Instant) -> Result<F, RetryAfter> + Copy,
    ) -> Result<Found, Refusal> {
        let lookup = self.lookup(account, slot)?;
        let finding = pin!(lookup.find(context, charge));
        match unless_replaced(account, finding).await {
            Ok(found) => found,
            Err(successor) => {
                Box::pin(self.balance(&successor, successor.slot(&slot.selector)?, context, charge)).await
            }
        }
    }

    fn lookup<'a>(
        &'a self,
        account: &Account,
        slot: &'a BalanceSlot,
    ) -> Result<Lookup<'a, UpstreamBalance>, Refusal> {
        if !account.is_enabled() {
            return Err(Refusal::Disabled);
        }
        let BalanceSlot { key, source, .. } = slot;
        Ok(Lookup { cache: &self.cache, clock: self.clock, key: *key, limits: account.limits(), source })
    }

    /// Invalidates balances at every replica: from now on, only snapshots from after the returned instant are
    /// acceptable. It is an instant of the shared store's clock, or of ours if that is not known.
    pub async fn invalidate(&self, slots: &[BalanceSlot]) -> Timestamp {
        let keys: Vec<_> = slots.iter().map(|slot| slot.key).collect();
        let here = self.cache.invalidate(&keys);
        let everywhere = self.cache.invalidate_everywhere(&keys, here.monotonic).await;
        // Rounded up, because a later instant only demands more, but an earlier one would demand too little.
        everywhere.map_or(here.wall, |everywhere| everywhere.rounded_up().timestamp())
    }
}

/// Waits for a lookup. If a reload replaces the account by one with another identity, it returns that account: the
/// result would belong to the old one, so the request must look up again. The calling function pins `finding`: passed
/// by value, it would be stored twice.
async fn unless_replaced<T>(
    account: &Account,
    mut finding: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Arc<Account>> {
    // A hit is ready at once and needs no watch.
    if let Poll::Ready(found) = poll!(finding.as_mut()) {
        return Ok(found);
    }
    tokio::select! {
        biased;
        successor = account.successor.wait() => Err(Arc::clone(successor)),
        found = finding => Ok(found),
    }
}
