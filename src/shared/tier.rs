//! The parts of the tier that accounts, breakers and units have in common: the store, its names, and background tasks.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::keyring::Keyring;
use super::live_lease::LiveLease;
use super::script::Action;
use super::settings::SharedSettings;
use super::store::Store;
use crate::domain::{BalanceKey, Clock, MaxAge};
use crate::metrics::SharedMetrics;

/// A key that is not written for this long expires, in milliseconds. No hold, mark or snapshot counts for longer.
const LIFE: u64 = 60 * 60 * 1000;

/// The life of keys with calls or failures that count for `span`, in milliseconds. The state of the account or breaker
/// outlives them, so that their loss is noticed.
pub(super) fn life_of(span: Duration) -> u64 {
    LIFE.max(u64::try_from(2 * span.as_millis()).unwrap_or(u64::MAX))
}

/// How often a replaced tier checks for running reads.
const FINISH_INTERVAL: Duration = Duration::from_millis(50);

/// Receives the balance and the mark of an invalidation, and the moment of an invalidation by this replica.
pub(super) type OnMark = Box<dyn Fn(BalanceKey, u64, Option<Instant>) + Send + Sync>;
/// Receives the balance and the number of a read that ended.
pub(super) type OnEnd = Box<dyn Fn(BalanceKey, u64) + Send + Sync>;

/// The parts that accounts, breakers and units have in common.
pub(super) struct Tier {
    pub(super) settings: SharedSettings,
    pub(super) keyring: Keyring,
    pub(super) channel: String,
    pub(super) store: Store,
    on_mark: OnceLock<OnMark>,
    on_end: OnceLock<OnEnd>,
    /// Invalidations by this replica, to be written again to a store that lost them.
    own_marks: Mutex<HashMap<BalanceKey, Instant>>,
    /// Notified when this replica stops sharing.
    stopped_sharing: Notify,
    /// Leases of this replica that have not ended, by their token.
    leases: Mutex<HashMap<String, LiveLease>>,
    /// Background tasks that write to the store.
    tasks: TaskTracker,
}

#[derive(Serialize)]
struct ForgetArguments {}

impl Tier {
    /// `None` without a key.
    pub(super) fn new(settings: SharedSettings, clock: Clock, metrics: Arc<SharedMetrics>) -> Option<Self> {
        Some(Self {
            keyring: Keyring::new(&settings.keys)?,
            channel: settings.channel(),
            store: Store::new(settings.timeout, clock, metrics),
            on_mark: OnceLock::new(),
            on_end: OnceLock::new(),
            own_marks: Mutex::default(),
            stopped_sharing: Notify::new(),
            leases: Mutex::default(),
            tasks: TaskTracker::new(),
            settings,
        })
    }

    /// The number of replicas, by which a shared limit is divided into local shares.
    pub(super) fn replicas(&self) -> u32 {
        self.settings.replicas.get()
    }

    /// Whether this replica uses the store now.
    pub(super) fn is_sharing(&self) -> bool {
        self.store.is_sharing()
    }

    /// This replica works alone from now on.
    pub(super) fn end_sharing(&self) {
        self.store.end_sharing();
        self.stopped_sharing.notify_waiters();
    }

    /// Waits until this replica stops sharing.
    pub(super) async fn wait_until_alone(&self) {
        let mut stopped_sharing = pin!(self.stopped_sharing.notified());
        // Registered before the check, so that no notification is missed.
        stopped_sharing.as_mut().enable();
        if self.is_sharing() {
            stopped_sharing.await;
        }
    }

    /// A key of the store. Keys with the same tag are in one slot of a cluster.
    pub(super) fn key(&self, tag: &str, what: &str) -> String {
        format!("{}:1:{{{tag}}}:{what}", self.settings.prefix)
    }

    /// Runs a task in the background; it ends with the process.
    pub(super) fn in_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.spawn_on(task, &runtime);
        }
    }

    /// Deletes unreadable keys in the background.
    pub(super) fn forget(self: &Arc<Self>, keys: Vec<String>) {
        let tier = Arc::clone(self);
        self.in_background(async move {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            // If this fails, the key is found and deleted again later.
            let _ = tier.store.run(Action::Forget, &keys, &ForgetArguments {}, &mut tier.store.wait()).await;
        });
    }

    /// Sets the listener to invalidations by other replicas. The first listener stays.
    pub(super) fn on_mark(&self, listener: OnMark) {
        let _ = self.on_mark.set(listener);
    }

    /// Sets the listener to the ends of reads. The first listener stays.
    pub(super) fn on_end(&self, listener: OnEnd) {
        let _ = self.on_end.set(listener);
    }

    /// An invalidation was stored, perhaps by another replica.
    pub(super) fn notify_mark(&self, key: BalanceKey, mark: u64) {
        if let Some(listener) = self.on_mark.get() {
            listener(key, mark, None);
        }
    }

    /// An invalidation that this replica made at this moment was stored later.
    pub(super) fn notify_own_mark(&self, key: BalanceKey, mark: u64, at: Instant) {
        if let Some(listener) = self.on_mark.get() {
            listener(key, mark, Some(at));
        }
    }

    pub(super) fn notify_end(&self, key: BalanceKey, number: u64) {
        if let Some(listener) = self.on_end.get() {
            listener(key, number);
        }
    }

    /// The invalidations of this replica that still count, with their moments.
    pub(super) fn own_marks(&self, now: Instant) -> MutexGuard<'_, HashMap<BalanceKey, Instant>> {
        let mut own = self.own_marks.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain(|_, at| now.saturating_duration_since(*at) < MaxAge::CEILING.get());
        own
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, HashMap<String, LiveLease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of running reads; each keeps its lease.
    pub(super) async fn finish_reads(&self) {
        let finished = async {
            while !self.leases().is_empty() {
                tokio::time::sleep(FINISH_INTERVAL).await;
            }
        };
        // A longer wait has no use: the snapshot of such a read could not be served.
        let _ = tokio::time::timeout(MaxAge::CEILING.get(), finished).await;
        self.finish_tasks().await;
    }

    /// Gives up every lease of this replica.
    pub(super) async fn give_up_leases(&self) {
        let leases = std::mem::take(&mut *self.leases());
        let leases = leases.iter().map(|(token, lease)| lease.give_up(&self.store, &self.channel, token));
        futures_util::future::join_all(leases).await;
    }

    /// Waits for the background tasks, for at most one `timeout`.
    pub(super) async fn finish_tasks(&self) {
        self.tasks.close();
        // A lease whose end is not written by then expires at its deadline.
        let _ = tokio::time::timeout(self.settings.timeout, self.tasks.wait()).await;
    }
}

/// A random name for a call, a lease or a probe.
pub(super) fn random_name() -> String {
    format!("{:016x}", fastrand::u64(..))
}
