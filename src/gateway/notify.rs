//! Acts on a provider's notification: invalidates the account's balances, reads them now, and once more after `settle`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::sleep;

use super::account::{Account, BalanceSlot};
use super::lookup::BalanceSource;
use super::notifications::{NotificationAction, PAUSE};
use super::state::Gateway;
use crate::cache::{Claim, Question};
use crate::domain::{Directives, Priority};

/// Reads the balances of one account again.
struct ReadAgain {
    gateway: Arc<Gateway>,
    account: Arc<Account>,
}

impl Gateway {
    /// Notes that the balances of an account may have changed. Returns at once.
    pub fn notified(self: &Arc<Self>, account: &Arc<Account>, settle: Duration) {
        if account.is_enabled() {
            let action = ReadAgain { gateway: Arc::clone(self), account: Arc::clone(account) };
            self.notifications.add(account.name(), settle, Arc::new(action));
        }
    }

    /// Reads a balance that is stored, watched or streamed, here or perhaps at another replica.
    async fn read_if_used(&self, account: &Account, slot: &BalanceSlot) {
        // Another replica may stream a balance that this one does not hold.
        let is_used = self.cache.is_shared()
            || account.watch().is_some()
            || self.channels.has(slot)
            || self.cache.stored(&slot.key).await.is_some();
        if !is_used {
            return;
        }
        let limits = account.limits();
        let demand = Directives::default().or_new().demand((self.clock)(), limits);
        let (question, source) = (Question { key: slot.key, demand, limits }, slot.source.clone());
        // The cache stores the result; a failure is counted where it happens.
        self.cache.read(&question, Priority::Background, move |request| source.read(request)).await;
    }
}

impl ReadAgain {
    async fn read(&self) {
        let Self { gateway, account } = self;
        join_all(account.balances().iter().map(|slot| gateway.read_if_used(account, slot))).await;
    }
}

impl NotificationAction for ReadAgain {
    fn claim(&self, since: Duration) -> BoxFuture<'_, Claim> {
        async move {
            match self.account.balances().first() {
                Some(slot) => self.gateway.cache.claim_notification(&slot.key, since, PAUSE).await,
                None => Claim::Done,
            }
        }
        .boxed()
    }

    fn act(self: Arc<Self>, settles: BTreeSet<Duration>) -> BoxFuture<'static, ()> {
        async move {
            self.gateway.invalidate(self.account.balances()).await;
            for settle in settles.into_iter().filter(|settle| !settle.is_zero()) {
                let again = Arc::clone(&self);
                tokio::spawn(async move {
                    sleep(settle).await;
                    again.read().await;
                });
            }
            // Not awaited, so that the pause until the next action begins now.
            tokio::spawn(async move { self.read().await });
        }
        .boxed()
    }

    fn now(&self) -> Instant {
        (self.gateway.clock)().monotonic
    }
}
