//! A cache whose balances are shared with other replicas: their invalidations, and demands in the store's terms.

use std::sync::Arc;
use std::time::Duration;

use super::balance_cache::BalanceCache;
use super::entry::Entry;
use super::question::Question;
use crate::domain::{Answer, BalanceKey, Limits, Priority, StoreTime};
use crate::shared::{Claim, Shared};

impl BalanceCache {
    /// An empty cache that shares what it knows with other replicas. What was invalidated here stays so.
    #[must_use]
    pub fn sharing(&self, shared: &Arc<Shared>) -> Self {
        let (clock, marks) = (self.clock, self.marks.without_numbers());
        let cache = Self { shared: Some(Arc::clone(shared)), marks: marks.clone(), ..Self::new(clock) };
        shared.on_mark(Box::new(move |key, number| marks.note(key, number, clock().monotonic)));
        let listeners = cache.listeners.clone();
        shared.on_end(Box::new(move |key, number| listeners.ended_elsewhere(&key, number)));
        cache
    }

    /// The same cache, which shares nothing from now on.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { shared: None, ..self.clone() }
    }

    /// Says which replica acts on a notification that came `since` ago: each once in a `pause`, where they share only
    /// one of them.
    pub async fn claim_notification(&self, key: &BalanceKey, since: Duration, pause: Duration) -> Claim {
        match &self.shared {
            Some(shared) => shared.claim(key, since, pause).await,
            None => Claim::Ours,
        }
    }

    /// Stores what the read of this number brought to another replica, or a later one; the provider is not asked.
    pub async fn adopt(&self, key: BalanceKey, number: u64, limits: Limits) {
        let Some(shared) = &self.shared else { return };
        let is_newer = |entry: &Arc<Entry>| {
            let turn = entry.snapshot().and_then(|snapshot| snapshot.turn());
            turn.is_none_or(|turn| turn.number < number)
        };
        if self.entries.get(&key).await.is_some_and(|entry| !is_newer(&entry)) {
            return;
        }
        let Some(snapshot) = shared.stored(&key, number, limits.max_age).await else { return };
        let (entries, listeners, clock) = (self.entries.clone(), self.listeners.clone(), self.clock);
        let answer = Answer {
            priority: Priority::Background,
            sent_at: snapshot.requested_at().monotonic,
            turn: snapshot.turn(),
            is_elsewhere: true,
            result: Ok(snapshot),
        };
        let stored = entries.clone();
        let init = async move {
            let before = stored.get(&key).await;
            let entry = Entry::after(before.as_deref(), answer, clock());
            listeners.stored(&key, &entry);
            Arc::new(entry)
        };
        entries.entry_by_ref(&key).or_insert_with_if(init, is_newer).await;
    }

    /// Invalidates balances for every replica, where they share: the instant of the store's clock that all of them go
    /// by, or that it says by now at the latest. What was marked here stays marked where the store cannot be asked.
    pub async fn invalidate_everywhere(&self, keys: &[BalanceKey]) -> Option<StoreTime> {
        match self.shared.as_ref()?.invalidate(keys).await {
            Ok(marked) => {
                self.marks.number(keys, marked.as_micros());
                Some(marked)
            }
            Err(latest) => latest,
        }
    }

    /// The question as it stands where a caller's instant is of the store's clock and not of ours.
    pub(super) fn judged_here(&self, question: Question) -> Question {
        let Some(shared) = &self.shared else { return question };
        let demand = question.demand.of_the_stores_clock(question.limits, shared.is_sharing());
        Question { demand, ..question }
    }

    /// The question in the store's terms, where replicas share and the store answers.
    pub(super) async fn with_ticket(&self, question: Question) -> Question {
        let Some(shared) = &self.shared else { return question };
        let demand = if question.demand.takes_any(question.limits) {
            question.demand.with_any_turn()
        } else {
            match shared.ticket(&question.key).await {
                Some(standing) => question.demand.with_ticket(standing),
                None => question.demand,
            }
        };
        Question { demand, ..question }
    }
}
