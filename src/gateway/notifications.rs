//! Providers' notifications that wait for their reads.
//!
//! All notifications of one account within one second cause one action. So a storm costs at most two reads per balance and
//! second: one at once, one after `settle`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use crate::cache::Claim;
use crate::domain::AccountName;

/// Shortest time between two actions for one account.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The action for one account.
pub(super) trait NotificationAction: Send + Sync {
    /// Decides which replica acts on notifications, the last of which arrived `since` ago.
    fn claim(&self, since: Duration) -> BoxFuture<'_, Claim>;

    /// Acts now, and once more after each of these times that is above zero.
    fn act(self: Arc<Self>, settles: BTreeSet<Duration>) -> BoxFuture<'static, ()>;

    /// This moment.
    fn now(&self) -> Instant;
}

/// The waiting notifications of each account; a reload keeps them. An account has an entry while its task runs; the
/// entry is `None` when no notification waits.
#[derive(Clone, Default)]
pub(super) struct Notifications(Arc<Mutex<HashMap<AccountName, Option<PendingNotifications>>>>);

/// The waiting notifications of one account.
struct PendingNotifications {
    /// The action of the configuration in force.
    action: Arc<dyn NotificationAction>,
    /// When the last one arrived.
    notified_at: Instant,
    settles: BTreeSet<Duration>,
}

impl Notifications {
    /// Adds a notification of an account, and returns at once.
    pub(super) fn add(&self, account: &AccountName, settle: Duration, action: Arc<dyn NotificationAction>) {
        let mut all = self.lock();
        let is_idle = !all.contains_key(account);
        let waiting = all.entry(account.clone()).or_default();
        let mut settles = waiting.take().map(|waiting| waiting.settles).unwrap_or_default();
        settles.insert(settle);
        *waiting = Some(PendingNotifications { notified_at: action.now(), action, settles });
        if is_idle {
            tokio::spawn(self.clone().work(account.clone()));
        }
    }

    /// Acts on the notifications of an account until none waits.
    async fn work(self, account: AccountName) {
        while let Some(waiting) = self.take(&account) {
            waiting.act().await;
            sleep(PAUSE).await;
        }
    }

    /// Takes the waiting notifications; without any, the account's task ends.
    fn take(&self, account: &AccountName) -> Option<PendingNotifications> {
        let mut all = self.lock();
        let waiting = all.get_mut(account)?.take();
        if waiting.is_none() {
            all.remove(account);
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountName, Option<PendingNotifications>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingNotifications {
    async fn act(self) {
        loop {
            let since = self.action.now().saturating_duration_since(self.notified_at);
            match self.action.claim(since).await {
                Claim::Ours => return self.action.act(self.settles).await,
                Claim::Done => return,
                Claim::After(wait) => sleep(wait).await,
            }
        }
    }
}

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications").finish_non_exhaustive()
    }
}
