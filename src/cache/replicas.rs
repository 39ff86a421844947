//! The cache with a shared store: invalidations of all replicas, and demands by the store's clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::balance_cache::BalanceCache;
use super::entry::Entry;
use super::question::Question;
use super::read::MOST_ROUNDS;
use crate::domain::{Answer, BalanceKey, Limits, MaxAge, Priority, Snapshot, StoreTime};
use crate::shared::{Claim, Shared};

/// Pauses before the two repetitions of a look-up for an event stream. They are longer than the usual time-out of the
/// store, but hardly noticed by a person.
const LOOK_UP_PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

impl BalanceCache {
    /// An empty cache with a shared store. The known invalidations are kept.
    #[must_use]
    pub fn with_shared_store(&self, shared: &Arc<Shared>) -> Self {
        let (clock, marks) = (self.clock, self.marks.without_numbers());
        let cache = Self { shared: Some(Arc::clone(shared)), marks: marks.clone(), ..Self::new(clock) };
        shared.on_mark(Box::new(move |key, number, own| match own {
            Some(at) => marks.number(&[key], number, at),
            None => marks.note(key, number, clock().monotonic),
        }));
        let listeners = cache.listeners.clone();
        shared.on_end(Box::new(move |key, number| listeners.ended_elsewhere(&key, number)));
        cache
    }

    /// The same cache without a shared store.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { shared: None, ..self.clone() }
    }

    /// Decides which replica acts on notifications, the last of which arrived `since` ago. Replicas that share a store
    /// act once per `pause` together; otherwise each replica acts itself.
    pub async fn claim_notification(&self, key: &BalanceKey, since: Duration, pause: Duration) -> Claim {
        match &self.shared {
            Some(shared) => shared.claim(key, since, pause).await,
            None => Claim::Ours,
        }
    }

    /// Whether other replicas may hold or stream a balance that this one does not.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Stores the snapshot of another replica's read with this number, or of a later one. Does not call the provider.
    pub async fn adopt(&self, key: BalanceKey, number: u64, limits: Limits) {
        let Some(shared) = &self.shared else { return };
        let is_newer = |entry: &Arc<Entry>| entry.latest_turn().is_none_or(|turn| turn.number < number);
        if self.entries.get(&key).await.is_some_and(|entry| !is_newer(&entry)) {
            return;
        }
        let Some(snapshot) = stored_soon(shared, &key, number, limits.max_age).await else { return };
        for _ in 0..MOST_ROUNDS {
            let init = self.adopted(key, Arc::clone(&snapshot));
            let entry = self.entries.entry_by_ref(&key).or_insert_with_if(init, is_newer).await;
            // Otherwise the entry belongs to a read of this replica that ran at the same time and failed: try again.
            if entry.is_fresh() || !is_newer(entry.value()) {
                return;
            }
        }
    }

    /// The entry with a snapshot that another replica read.
    fn adopted(
        &self,
        key: BalanceKey,
        snapshot: Arc<Snapshot>,
    ) -> impl Future<Output = Arc<Entry>> + Send + 'static + use<> {
        let (cache, clock) = (self.clone(), self.clock);
        let answer = Answer {
            priority: Priority::Background,
            sent_at: snapshot.requested_at().monotonic,
            turn: snapshot.turn(),
            is_from_other_replica: true,
            result: Ok(snapshot),
        };
        async move {
            let before = cache.entries.get(&key).await;
            let entry = Arc::new(Entry::after(before.as_deref(), answer, None, clock()));
            cache.listeners.stored(&key, &entry);
            cache.latest.set(key, &entry);
            entry
        }
    }

    /// Announces an invalidation of this moment to every replica. Returns the instant of the store's clock that applies to all, or an
    /// estimate that is not too early. If the store is unreachable, the invalidation applies at this replica at once,
    /// and is sent to the store later.
    pub async fn invalidate_everywhere(&self, keys: &[BalanceKey], at: Instant) -> Option<StoreTime> {
        match self.shared.as_ref()?.invalidate(keys, at).await {
            Ok(marked) => {
                self.marks.number(keys, marked.as_micros(), at);
                Some(marked)
            }
            Err(latest) => latest,
        }
    }

    /// The entry of a failed read. If it has no snapshot that may be served, it gets the one of the shared store.
    /// Callers without a demand may then be served it, like a snapshot of this replica.
    pub(super) async fn with_stored(&self, entry: Entry, question: &Question) -> Entry {
        let max_age = question.limits.max_age;
        let may_be_served = |snapshot: &Arc<Snapshot>| max_age.allows(snapshot.age_at((self.clock)()));
        if entry.failure().is_none() || entry.snapshot().is_some_and(may_be_served) {
            return entry;
        }
        match self.stored_elsewhere(&question.key, max_age).await {
            Some(snapshot) => entry.with_snapshot(snapshot),
            None => entry,
        }
    }

    /// The last snapshot in the shared store, unless it was invalidated.
    pub(super) async fn stored_elsewhere(&self, key: &BalanceKey, max_age: MaxAge) -> Option<Arc<Snapshot>> {
        self.shared.as_ref()?.stored(key, 0, max_age).await
    }

    /// The question with `?not_before=` measured by the store's clock instead of ours.
    pub(super) fn by_store_clock(&self, question: Question) -> Question {
        let Some(shared) = &self.shared else { return question };
        let demand = question.demand.by_store_clock(question.limits, shared.is_sharing());
        Question { demand, ..question }
    }

    /// The question with its demand judged by the shared store's order, if there is a store and it answers.
    pub(super) async fn judged_by_store(&self, question: Question) -> Question {
        let Some(shared) = &self.shared else { return question };
        let demand = if question.demand.accepts_any_turn(question.limits) {
            question.demand.with_any_turn()
        } else {
            match shared.ticket(&question.key, question.limits.max_age).await {
                Some(order_state) => question.demand.judged_by_store(order_state),
                None => question.demand,
            }
        };
        Question { demand, ..question }
    }
}

/// Looks a snapshot up in the store, up to three times: a look-up that times out must not cost a stream its event.
async fn stored_soon(
    shared: &Shared,
    key: &BalanceKey,
    number: u64,
    max_age: MaxAge,
) -> Option<Arc<Snapshot>> {
    for pause in LOOK_UP_PAUSES {
        if let Some(snapshot) = shared.stored(key, number, max_age).await {
            return Some(snapshot);
        }
        sleep(pause).await;
    }
    shared.stored(key, number, max_age).await
}
