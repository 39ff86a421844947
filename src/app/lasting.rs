//! State that outlives configurations.

use super::sharing::Sharing;
use crate::cache::BalanceCache;
use crate::clock;
use crate::trace::Tracer;

/// State that outlives configurations: a reload passes it on to the next one.
pub(super) struct Lasting {
    pub(super) tracer: Option<Tracer>,
    /// The cache, shared with other replicas by `sharing` and traced by `tracer`.
    pub(super) cache: BalanceCache,
    pub(super) sharing: Sharing,
}

impl Lasting {
    /// Begins with an empty cache.
    pub(super) fn new(tracer: Option<Tracer>, sharing: Sharing) -> Self {
        let cache = BalanceCache::new(clock::now).traced(tracer.clone());
        let cache = match sharing.shared() {
            Some(shared) => cache.sharing(shared),
            None => cache,
        };
        Self { tracer, cache, sharing }
    }

    /// The cache with another tracer and, if it changed, another shared store. With a new store the cache starts empty,
    /// except for the invalidations made here.
    pub(super) fn next_cache(&self, tracer: Option<Tracer>, sharing: Option<&Sharing>) -> BalanceCache {
        let cache = self.cache.traced(tracer);
        match sharing.map(Sharing::shared) {
            Some(Some(shared)) => cache.sharing(shared),
            Some(None) => cache.alone(),
            None => cache,
        }
    }
}
