//! One followed balance: receives the result of each read, passes it on to every subscription, and keeps the balance
//! young.
//!
//! One task reads for all subscriptions, so twenty of them cost the provider no more calls than one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::inbox::Inbox;
use super::report::Report;
use crate::cache::{BalanceCache, Listener, Peek, Question};
use crate::domain::{AlertLevels, BalanceKey, Clock, Demand, Failure, FreshFor, Limits, Priority, Snapshot};
use crate::gateway::account::{BalanceSlot, UpstreamBalance};
use crate::gateway::lookup::BalanceSource;
use crate::gateway::refusal::Refusal;

/// Shortest time between two reads, and before the first one.
const PAUSE: Duration = Duration::from_secs(1);

/// One followed balance.
pub(in crate::gateway) struct Channel {
    key: BalanceKey,
    limits: Limits,
    levels: AlertLevels,
    clock: Clock,
    state: Mutex<State>,
    /// Wakes the task when something has changed. The sleeping task holds only this and not the channel, so that the
    /// channel can be dropped.
    changed: Arc<Notify>,
    /// The number of the last read that ended at another replica.
    elsewhere: AtomicU64,
    /// Ends the task.
    stop: OnceLock<DropGuard>,
}

#[derive(Default)]
struct State {
    followers: BTreeMap<u64, (Weak<Inbox>, usize)>,
    next_follower: u64,
    /// The number of subscriptions that require each longest age.
    refreshes: BTreeMap<Duration, usize>,
    last: Option<Arc<Report>>,
}

/// One subscription's share of a channel, until it is dropped.
pub(super) struct Follower {
    channel: Arc<Channel>,
    number: u64,
    refresh: Duration,
}

impl Channel {
    /// Opens the channel of a balance, and begins to keep it young.
    pub(super) fn open(cache: &BalanceCache, clock: Clock, limits: Limits, slot: &BalanceSlot) -> Arc<Self> {
        let stop = CancellationToken::new();
        let channel = Arc::new(Self {
            key: slot.key,
            limits,
            levels: slot.alerts,
            clock,
            state: Mutex::default(),
            changed: Arc::default(),
            elsewhere: AtomicU64::new(0),
            stop: OnceLock::new(),
        });
        let listener: Weak<Self> = Arc::downgrade(&channel);
        cache.listen(slot.key, listener.clone());
        let (cache, source) = (cache.clone(), slot.source.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled(keep_young(listener, cache, source)).await;
        });
        let _ = channel.stop.set(stop.drop_guard());
        channel
    }

    /// Passes every later event to an inbox, until the follower is dropped. `index` is the balance's index in the
    /// inbox, `refresh` the longest age that the subscription allows.
    pub(super) fn follow(self: &Arc<Self>, inbox: &Arc<Inbox>, index: usize, refresh: Duration) -> Follower {
        let mut state = self.state();
        let number = state.next_follower;
        state.next_follower += 1;
        state.followers.insert(number, (Arc::downgrade(inbox), index));
        *state.refreshes.entry(refresh).or_default() += 1;
        drop(state);
        self.changed.notify_one();
        Follower { channel: Arc::clone(self), number, refresh }
    }

    /// The report of a snapshot, shared by all subscriptions that receive it.
    fn report_of(&self, state: &mut State, snapshot: Arc<Snapshot>) -> Arc<Report> {
        let made = Arc::new(Report::new(snapshot, self.levels));
        match &state.last {
            Some(last) if last.is_of_same(&made) => Arc::clone(last),
            _ => {
                state.last = Some(Arc::clone(&made));
                made
            }
        }
    }

    /// The instant of the next read, and the longest age that all subscriptions allow; `None` without subscriptions.
    /// The read is due when the snapshot reaches that age, but not before the `retry_at` of a failure.
    async fn next_read(&self, cache: &BalanceCache) -> Option<(Instant, FreshFor)> {
        let refresh = *self.state().refreshes.first_key_value()?.0;
        let refresh = FreshFor::new(refresh).ok()?;
        let now = (self.clock)();
        let demand = Demand::none(now, self.limits);
        let age = match cache.peek(&Question { key: self.key, demand, limits: self.limits }).await {
            Peek::Fresh(snapshot) | Peek::Stale { snapshot, .. } => snapshot.age_at(now),
            // Nothing is stored, or it is invalidated.
            Peek::Absent { .. } => refresh.get(),
        };
        let due = now.monotonic + refresh.get().saturating_sub(age);
        let retry = cache.failure(&self.key).await.and_then(|failure| failure.retry_at);
        Some((retry.map_or(due, |retry| retry.max(due)), refresh))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a balance as young as its subscriptions require, and receives snapshots that other replicas read.
async fn keep_young(channel: Weak<Channel>, cache: BalanceCache, source: UpstreamBalance) {
    let Some((changed, mut not_before)) = channel
        .upgrade()
        // A subscription itself looks up each of its balances, so the first read here can wait.
        .map(|channel| (Arc::clone(&channel.changed), (channel.clock)().monotonic + PAUSE))
    else {
        return;
    };
    let mut adopted = 0;
    while let Some(channel) = channel.upgrade() {
        let elsewhere = channel.elsewhere.load(Ordering::Acquire);
        if elsewhere > adopted {
            adopted = elsewhere;
            cache.adopt(channel.key, elsewhere, channel.limits).await;
        }
        let due = channel.next_read(&cache).await;
        let now = (channel.clock)();
        match due.map(|(due, refresh)| (due.max(not_before), refresh)) {
            Some((due, refresh)) if due <= now.monotonic => {
                let limits = channel.limits;
                let demand = Demand::refresh(now, Limits { fresh_for: refresh, ..limits });
                let (question, source) = (Question { key: channel.key, demand, limits }, source.clone());
                // Its snapshot is stored, so the channel receives it as an event.
                cache.read(&question, Priority::Background, move |request| source.read(request)).await;
                // The pause also prevents a busy loop: a snapshot of another replica may be fresh by the store's clock
                // and old by ours.
                not_before = (channel.clock)().monotonic + PAUSE;
            }
            Some((due, _)) => {
                drop(channel);
                let _ = tokio::time::timeout_at(due.into(), changed.notified()).await;
            }
            None => {
                drop(channel);
                changed.notified().await;
            }
        }
    }
}

impl Listener for Channel {
    fn stored(&self, snapshot: Option<&Arc<Snapshot>>, failure: Option<Failure>) {
        let now = (self.clock)().monotonic;
        let mut state = self.state();
        let brought = snapshot.filter(|_| failure.is_none());
        let report = brought.map(|snapshot| self.report_of(&mut state, Arc::clone(snapshot)));
        for (inbox, index) in state.followers.values() {
            let Some(inbox) = inbox.upgrade() else { continue };
            match failure {
                // After a failed read, the snapshot is an older one.
                Some(failure) => {
                    inbox.add_problem(*index, Refusal::Failed(failure.error, failure.retry_after(now)));
                }
                None => report.iter().for_each(|report| inbox.add_balance(*index, report)),
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    fn ended_elsewhere(&self, number: u64) {
        self.elsewhere.fetch_max(number, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

impl Follower {
    /// The report of a snapshot that was looked up.
    pub(super) fn report_of(&self, snapshot: Arc<Snapshot>) -> Arc<Report> {
        let mut state = self.channel.state();
        let made = Arc::new(Report::new(snapshot, self.channel.levels));
        match &state.last {
            Some(last) if last.is_of_same(&made) => Arc::clone(last),
            Some(_) => made,
            None => self.channel.report_of(&mut state, Arc::clone(&made.snapshot)),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.channel.state();
        state.followers.remove(&self.number);
        if let Some(count) = state.refreshes.get_mut(&self.refresh) {
            *count -= 1;
            if *count == 0 {
                state.refreshes.remove(&self.refresh);
            }
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("refresh", &self.refresh).finish_non_exhaustive()
    }
}
