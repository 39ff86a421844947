//! Makes callers' limits.

use std::sync::Arc;
use std::time::Instant;

use super::limit::Limit;
use crate::domain::CallerName;
use crate::domain::LimitSettings;
use crate::metrics::LimitPolicy;
use crate::shared::Shared;

/// Makes limits: for this process alone, or shared with the other replicas.
#[derive(Clone, Default)]
pub struct Limiter {
    shared: Option<Arc<Shared>>,
}

impl Limiter {
    /// Makes a limiter. Replicas share its limits through this store; without a store, each process has its own.
    #[must_use]
    pub fn new(shared: Option<Arc<Shared>>) -> Self {
        Self { shared }
    }

    /// Makes a limit of a caller. `before` is the previous limit: an unchanged one keeps its state. Returns `None` for a
    /// limit without units, which the configuration rejects.
    #[must_use]
    pub fn limit(
        &self,
        caller: &CallerName,
        policy: LimitPolicy,
        settings: LimitSettings,
        before: Option<&Arc<Limit>>,
        now: Instant,
    ) -> Option<Arc<Limit>> {
        Limit::new(caller, policy, settings, before, self.shared.as_ref(), now)
    }
}
