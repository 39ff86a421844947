//! What outlives every configuration.

use super::sharing::Sharing;
use crate::cache::BalanceCache;
use crate::clock;
use crate::trace::Tracer;

/// What outlives every configuration: a reload takes it over from the configuration before.
pub(super) struct Lasting {
    pub(super) tracer: Option<Tracer>,
    /// What is stored, shared with other replicas by `sharing` and traced by `tracer`.
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

    /// The cache under another tracer and, where it changed, another shared tier. A new tier begins with an empty cache,
    /// but for the invalidations made here.
    pub(super) fn next_cache(&self, tracer: Option<Tracer>, sharing: Option<&Sharing>) -> BalanceCache {
        let cache = self.cache.traced(tracer);
        match sharing.map(Sharing::shared) {
            Some(Some(shared)) => cache.sharing(shared),
            Some(None) => cache.alone(),
            None => cache,
        }
    }
}
