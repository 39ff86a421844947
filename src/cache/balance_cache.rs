//! The cache of balances: its state, and every operation except reads. moka's own expiry only bounds memory; each
//! lookup judges the age of a snapshot itself.

use std::sync::{Arc, Weak};
use std::time::Instant;

use moka::ops::compute::Op;

use super::entry::Entry;
use super::latest::Latest;
use super::listeners::{Listener, Listeners};
use super::marks::{IDLE_LIFE, Marks};
use super::question::Question;
use crate::domain::{Answer, BalanceKey, Clock, DigestState, Failure, Moment, Priority, Snapshot};
use crate::shared::Shared;
use crate::trace::{Reads, Tracer};

/// The snapshots and held failures of every balance.
#[derive(Clone, Debug)]
pub struct BalanceCache {
    pub(super) entries: moka::future::Cache<BalanceKey, Arc<Entry>, DigestState>,
    /// The latest entries, for hits.
    pub(super) latest: Latest,
    /// Time of the last invalidation of each balance; kept while an older snapshot may still be cached.
    pub(super) marks: Marks,
    /// Time of the last change of each balance's credentials.
    pub(super) changed_credentials: Marks,
    /// The shared store, if configured.
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) clock: Clock,
    pub(super) reads: Reads,
    /// Listeners to balances, for event streams.
    pub(super) listeners: Listeners,
}

impl BalanceCache {
    /// An empty cache.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            entries: moka::future::Cache::builder()
                .time_to_idle(IDLE_LIFE)
                .build_with_hasher(DigestState::default()),
            latest: Latest::default(),
            marks: Marks::default(),
            changed_credentials: Marks::default(),
            shared: None,
            clock,
            reads: Reads::default(),
            listeners: Listeners::default(),
        }
    }

    /// The same cache with another tracer, or without one.
    #[must_use]
    pub fn traced(&self, tracer: Option<Tracer>) -> Self {
        Self { reads: self.reads.traced(tracer), ..self.clone() }
    }

    /// The last snapshot, as a fall-back after a failed read: `None` if the caller's `stale-if-error` does not permit its
    /// age. After an invalidation, callers without a demand need no `stale-if-error`. If this replica has no usable
    /// snapshot, the shared store's is used.
    pub async fn fallback(&self, question: &Question) -> Option<Arc<Snapshot>> {
        let now = (self.clock)();
        let was_invalidated = self.marks.get(&question.key, now.monotonic).is_some();
        let ceiling = question.limits.max_age;
        let is_for_all = was_invalidated && !question.demand.is_explicit();
        let oldest = if is_for_all { ceiling.get() } else { question.demand.fallback()? };
        let is_usable = |snapshot: &Arc<Snapshot>| {
            let age = snapshot.age_at((self.clock)());
            age <= oldest && ceiling.allows(age)
        };
        let entry = self.entries.get(&question.key).await;
        let ours = entry.and_then(|entry| entry.snapshot().cloned()).filter(is_usable);
        match ours {
            Some(snapshot) => Some(snapshot),
            None => self.stored_elsewhere(&question.key, ceiling).await.filter(is_usable),
        }
    }

    /// Invalidates balances: from now on, only snapshots requested at or after the returned moment are acceptable.
    #[must_use]
    pub fn invalidate(&self, keys: &[BalanceKey]) -> Moment {
        let now = (self.clock)();
        self.marks.invalidate(keys, now.monotonic);
        now
    }

    /// Forgets a failure caused by refused credentials, even if the failed read ends at the same time. Other failures
    /// stay.
    pub async fn forget_refusal(&self, key: &BalanceKey) {
        // Set the mark first: a read that stores its entry after the look-up below sees the mark.
        self.changed_credentials.invalidate(&[*key], (self.clock)().monotonic);
        if let Some(entry) = self.entries.get(key).await {
            entry.forget_refusal();
        }
    }

    /// Drops the entries of these balances. An invalidation at the returned moment makes the results of running reads
    /// too old for every caller.
    pub async fn remove(&self, keys: &[BalanceKey]) -> Moment {
        let invalidated_at = self.invalidate(keys);
        for key in keys {
            self.latest.remove(key);
            self.entries.invalidate(key).await;
        }
        invalidated_at
    }

    /// Stores snapshots that came in the answer for another balance, in the background. A stored younger snapshot is
    /// kept.
    pub fn fill(&self, snapshots: Vec<(BalanceKey, Arc<Snapshot>)>, sent_at: Instant) {
        if snapshots.is_empty() {
            return;
        }
        let cache = self.clone();
        tokio::spawn(async move {
            for (key, snapshot) in snapshots {
                cache.fill_one(key, snapshot, sent_at).await;
            }
        });
    }

    async fn fill_one(&self, key: BalanceKey, snapshot: Arc<Snapshot>, sent_at: Instant) {
        let (listeners, latest, clock) = (&self.listeners, &self.latest, self.clock);
        let filled = |entry: Option<moka::Entry<BalanceKey, Arc<Entry>>>| async move {
            let before = entry.map(moka::Entry::into_value);
            let requested_at = |snapshot: &Arc<Snapshot>| snapshot.requested_at().monotonic;
            let stored = before.as_ref().and_then(|before| before.snapshot()).map(requested_at);
            if stored.is_some_and(|stored| stored >= requested_at(&snapshot)) {
                return Op::Nop;
            }
            let priority = Priority::Background;
            let turn = snapshot.turn();
            let answer =
                Answer { priority, sent_at, turn, is_from_other_replica: false, result: Ok(snapshot) };
            let entry = Arc::new(Entry::after(before.as_deref(), answer, None, clock()));
            listeners.stored(&key, &entry);
            latest.set(key, &entry);
            Op::Put(entry)
        };
        self.entries.entry_by_ref(&key).and_compute_with(filled).await;
    }

    /// The stored snapshot of a balance, at any age.
    pub async fn stored(&self, key: &BalanceKey) -> Option<Arc<Snapshot>> {
        self.entries.get(key).await?.snapshot().cloned()
    }

    /// Sets the listener to the stored state of a balance.
    pub fn listen(&self, key: BalanceKey, listener: Weak<dyn Listener>) {
        self.listeners.set(key, listener);
    }

    /// How the last read of a balance failed, if it did.
    pub async fn failure(&self, key: &BalanceKey) -> Option<Failure> {
        self.entries.get(key).await?.failure()
    }

    /// When the credentials of a balance last changed, if known.
    pub(super) fn credentials_changed_at(&self, key: &BalanceKey) -> Option<Instant> {
        self.changed_credentials.get(key, (self.clock)().monotonic).map(|mark| mark.at)
    }
}

#[cfg(test)]
mod tests;
