//! State that outlives configurations.

use super::shared_store::SharedStore;
use crate::cache::BalanceCache;
use crate::domain::Clock;
use crate::trace::Tracer;

/// State that outlives configurations: a reload passes it on to the next one.
pub(super) struct ProcessState {
    pub(super) clock: Clock,
    pub(super) tracer: Option<Tracer>,
    /// The cache, shared with other replicas by `shared_store` and traced by `tracer`.
    pub(super) cache: BalanceCache,
    pub(super) shared_store: SharedStore,
}

impl ProcessState {
    /// Begins with an empty cache.
    pub(super) fn new(clock: Clock, tracer: Option<Tracer>, shared_store: SharedStore) -> Self {
        let cache = BalanceCache::new(clock).traced(tracer.clone());
        let cache = match shared_store.shared() {
            Some(shared) => cache.with_shared_store(shared),
            None => cache,
        };
        Self { clock, tracer, cache, shared_store }
    }

    /// The cache with another tracer and, if it changed, another shared store. With a new store the cache starts empty
    /// and keeps only the known invalidations; without a store it keeps its entries.
    pub(super) fn next_cache(
        &self,
        tracer: Option<Tracer>,
        shared_store: Option<&SharedStore>,
    ) -> BalanceCache {
        let cache = self.cache.traced(tracer);
        match shared_store.map(SharedStore::shared) {
            Some(Some(shared)) => cache.with_shared_store(shared),
            Some(None) => cache.alone(),
            None => cache,
        }
    }
}
