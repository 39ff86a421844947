//! Invalidations of an account's balances: written to the store, and written again to a store that lost them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::account::SharedAccount;
use super::error::StoreError;
use super::script::Action;
use crate::domain::{MaxAge, StoreTime};

/// The pause before an invalidation is written again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct InvalidateArguments<'a> {
    channel: &'a str,
    life: u64,
    balances: Vec<&'a str>,
    orders: Vec<&'a str>,
    highest: Vec<u64>,
}

impl SharedAccount {
    /// Invalidates balances for every replica.
    ///
    /// # Errors
    /// When the store is unavailable: the latest possible instant of its clock, if known.
    pub(super) async fn invalidate(
        self: &Arc<Self>,
        indexes: Vec<usize>,
        at: Instant,
    ) -> Result<StoreTime, Option<StoreTime>> {
        if let Ok(marked) = self.mark(&indexes).await {
            return Ok(marked);
        }
        let account = Arc::clone(self);
        self.tier.in_background(async move { account.mark_again(&indexes, at).await });
        Err(self.known().clock.latest(self.now()))
    }

    /// Writes this replica's invalidations to the store again.
    pub(super) fn mark_all_again(self: &Arc<Self>) {
        let own = self.tier.own_marks(self.now()).clone();
        for (index, balance) in self.balances.iter().enumerate() {
            if let Some(at) = own.get(&balance.key).copied() {
                let account = Arc::clone(self);
                self.tier.in_background(async move { account.mark_again(&[index], at).await });
            }
        }
    }

    /// Writes invalidations of the moment `at` to the store. Repeats this until it succeeds, or until no older snapshot
    /// may be served.
    async fn mark_again(&self, indexes: &[usize], at: Instant) {
        while self.now().saturating_duration_since(at) < MaxAge::CEILING.get() {
            if let Ok(marked) = self.mark(indexes).await {
                for index in indexes {
                    self.tier.notify_own_mark(self.balances[*index].key, marked.as_micros(), at);
                }
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) async fn mark(&self, indexes: &[usize]) -> Result<StoreTime, StoreError> {
        let balances: Vec<_> = indexes.iter().map(|index| &self.balances[*index]).collect();
        let arguments = InvalidateArguments {
            channel: &self.tier.channel,
            life: self.life,
            balances: balances.iter().map(|balance| balance.name.as_str()).collect(),
            orders: indexes.iter().map(|index| self.order(*index)).collect(),
            highest: indexes.iter().map(|index| self.highest(*index)).collect(),
        };
        let mut keys = vec![self.state_key.as_str()];
        keys.extend(balances.iter().map(|balance| balance.snapshot_key.as_str()));
        let store = self.store();
        let answered = store.run(Action::Invalidate, &keys, &arguments, &mut store.wait()).await;
        let answered = self.checked(answered, None)?;
        Ok(StoreTime::from_micros(answered.answer.number(0)?))
    }
}
