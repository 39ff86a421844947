//! From a provider's notification to its balances: invalidated, read now, and read once more when the provider is late.
//!
//! Notifications of one account within one second are one: those that come meanwhile are acted upon together when the
//! second is over. So a storm costs at most two reads per balance and second, the second of them after `settle`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::Gateway;
use super::account::{Account, BalanceSlot};
use super::lookup::Source;
use crate::cache::{Claim, Question};
use crate::domain::{AccountName, Priority, Wish};

/// Between two times that notifications of one account are acted upon.
const PAUSE: Duration = Duration::from_secs(1);

/// The notifications that wait to be acted upon, by their account; they outlive a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Notifications(Arc<Mutex<HashMap<AccountName, Option<Waiting>>>>);

/// Notifications of one account that wait to be acted upon together.
#[derive(Debug)]
struct Waiting {
    gateway: Arc<Gateway>,
    account: Arc<Account>,
    /// When the last of them came.
    notified_at: Instant,
    /// How much later to read again.
    settles: BTreeSet<Duration>,
}

impl Notifications {
    /// Adds a notification; true when no task acts on those of this account.
    fn add(&self, gateway: &Arc<Gateway>, account: &Arc<Account>, settle: Duration) -> bool {
        let mut all = self.lock();
        let is_new = !all.contains_key(account.name());
        let waiting = all.entry(account.name().clone()).or_default();
        let mut settles = waiting.take().map(|waiting| waiting.settles).unwrap_or_default();
        settles.insert(settle);
        *waiting = Some(Waiting {
            gateway: Arc::clone(gateway),
            account: Arc::clone(account),
            notified_at: (gateway.clock)().monotonic,
            settles,
        });
        is_new
    }

    /// Takes what waits; where nothing does, the account's task is to end.
    fn take(&self, account: &AccountName) -> Option<Waiting> {
        let mut all = self.lock();
        let waiting = all.get_mut(account)?.take();
        if waiting.is_none() {
            all.remove(account);
        }
        waiting
    }

    /// Acts on the notifications of an account until none waits.
    async fn act(self, account: AccountName) {
        while let Some(waiting) = self.take(&account) {
            waiting.act().await;
            sleep(PAUSE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountName, Option<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// A provider says that the balances of an account may have changed. Returns at once.
    pub fn notified(self: &Arc<Self>, account: &Arc<Account>, settle: Duration) {
        if account.is_enabled() && self.notifications.add(self, account, settle) {
            tokio::spawn(self.notifications.clone().act(account.name().clone()));
        }
    }

    /// Reads the balances of an account that somebody may look at: stored, watched or followed.
    async fn read_again(&self, account: &Account) {
        join_all(account.balances().iter().map(|slot| self.read_if_used(account, slot))).await;
    }

    async fn read_if_used(&self, account: &Account, slot: &BalanceSlot) {
        let is_used = account.watch().is_some()
            || self.is_followed(slot)
            || self.cache.stored(&slot.key).await.is_some();
        if !is_used {
            return;
        }
        let limits = account.limits();
        let demand = Wish::default().or_new().demand((self.clock)(), limits);
        let (question, source) = (Question { key: slot.key, demand, limits }, slot.source.clone());
        // What it brings is stored, and how it failed is counted where it happened.
        self.cache.read(&question, Priority::Background, move |order| source.read(order)).await;
    }
}

impl Waiting {
    async fn act(self) {
        if !self.is_first().await {
            return;
        }
        self.gateway.invalidate(self.account.balances()).await;
        let Self { gateway, account, settles, .. } = self;
        for settle in settles.into_iter().filter(|settle| !settle.is_zero()) {
            let (gateway, account) = (Arc::clone(&gateway), Arc::clone(&account));
            tokio::spawn(async move {
                sleep(settle).await;
                gateway.read_again(&account).await;
            });
        }
        // Not waited for: the next second begins now.
        tokio::spawn(async move { gateway.read_again(&account).await });
    }

    /// Waits until notifications of this account may be acted upon; false when another replica has done it meanwhile.
    async fn is_first(&self) -> bool {
        let Some(slot) = self.account.balances().first() else { return false };
        loop {
            let since = (self.gateway.clock)().monotonic.saturating_duration_since(self.notified_at);
            match self.gateway.cache.claim_notification(&slot.key, since, PAUSE).await {
                Claim::Ours => return true,
                Claim::Done => return false,
                Claim::After(wait) => sleep(wait).await,
            }
        }
    }
}
