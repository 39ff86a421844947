//! Permits for calls: the outgoing budget of one account, alone or shared by replicas.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::{Budget, BudgetGrant, BudgetSettings};
use crate::domain::{Clock, Priority, StoreTime};
use crate::shared::{Allowance, CallGrant, SharedAccount, StoreWait};
use crate::upstream::read_context::ReadContext;

/// The budget of one account: alone, or shared by replicas.
#[derive(Debug)]
pub(in crate::upstream) struct Gate {
    budget: Budget,
    shared: Option<SharedBudget>,
    clock: Clock,
}

/// The budget of an account that replicas share.
#[derive(Debug)]
struct SharedBudget {
    account: Arc<SharedAccount>,
    /// This replica's local share, which counts the same calls. It applies while the store does not know all calls.
    local_share: Budget,
}

/// The right to make one call; the attempt ends when it is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Permit {
    _grant: BudgetGrant,
    shared: Option<SharedCallGrant>,
}

#[derive(Debug)]
struct SharedCallGrant {
    account: Arc<SharedAccount>,
    /// `None` only while this is dropped.
    call_grant: Option<CallGrant>,
    per: Duration,
}

impl Gate {
    pub(in crate::upstream) fn new(
        settings: BudgetSettings,
        shared: Option<Arc<SharedAccount>>,
        clock: Clock,
    ) -> Self {
        Self::over(Budget::new(settings, clock), shared, clock)
    }

    /// A gate with other settings that counts the same calls.
    pub(in crate::upstream) fn resized(
        &self,
        settings: BudgetSettings,
        shared: Option<Arc<SharedAccount>>,
    ) -> Self {
        Self::over(self.budget.resized(settings), shared, self.clock)
    }

    fn over(budget: Budget, shared: Option<Arc<SharedAccount>>, clock: Clock) -> Self {
        let shared = shared
            .map(|account| SharedBudget { local_share: budget.local_share(account.replicas()), account });
        Self { budget, shared, clock }
    }

    /// The budget that applies now.
    fn current(&self) -> &Budget {
        match &self.shared {
            Some(shared) if !shared.account.is_sharing() => &shared.local_share,
            Some(_) | None => &self.budget,
        }
    }

    /// The time that one read may wait for the store, if replicas share.
    pub(in crate::upstream) fn store_wait(&self) -> Option<StoreWait> {
        self.shared.as_ref().map(|shared| shared.account.store_wait())
    }

    pub(in crate::upstream) fn limit(&self) -> u32 {
        self.current().limit()
    }

    pub(in crate::upstream) fn remaining(&self, now: Instant) -> u32 {
        let own = self.current().remaining(now);
        let counted = self.shared.as_ref().and_then(|shared| shared.account.counted(now));
        counted.map_or(own, |counted| own.min(self.limit().saturating_sub(counted)))
    }

    /// Whether a call would be permitted now, as far as this replica knows.
    pub(in crate::upstream) fn has_room(&self, priority: Priority, now: Instant) -> bool {
        self.current().has_room(priority, now)
    }

    /// The calls that this priority may make: of all replicas, and of this one.
    pub(in crate::upstream) fn allowance(&self, priority: Priority, attempt: Duration) -> Allowance {
        let local_share = self.shared.as_ref().map_or(&self.budget, |shared| &shared.local_share);
        Allowance {
            requests: self.budget.settings.requests,
            share: self.budget.share(priority),
            local_share: local_share.share(priority),
            per: self.budget.settings.per,
            attempt,
        }
    }

    /// Permits one call, or returns the time until the next may be permitted.
    pub(in crate::upstream) async fn permit(
        &self,
        context: &ReadContext,
        attempt: Duration,
    ) -> Result<Permit, Duration> {
        let now = (self.clock)().monotonic;
        let Some(SharedBudget { account, local_share }) = &self.shared else {
            return Ok(Permit { _grant: self.budget.grant(context.priority, now)?, shared: None });
        };
        let per = self.budget.settings.per;
        let call_grant = match context.take_first(account, now) {
            Some(call_grant) => Some(call_grant),
            None if account.is_sharing() => match &mut *context.store_wait.lock().await {
                // Boxed, because few reads take a second call.
                Some(wait) => {
                    let taken = Box::pin(account.take(self.allowance(context.priority, attempt), wait)).await;
                    taken.ok().transpose()?
                }
                None => None,
            },
            None => None,
        };
        let now = (self.clock)().monotonic;
        let (grant, call_grant) = if let Some(call_grant) = call_grant {
            (self.budget.note(now), call_grant)
        } else {
            let grant = local_share.grant(context.priority, now)?;
            (grant, account.alone(self.allowance(context.priority, attempt)))
        };
        let shared = SharedCallGrant { account: Arc::clone(account), call_grant: Some(call_grant), per };
        Ok(Permit { _grant: grant, shared: Some(shared) })
    }
}

impl Permit {
    /// The store's clock when it was granted, if the store granted it.
    pub(in crate::upstream) fn instant(&self) -> Option<StoreTime> {
        self.shared.as_ref()?.call_grant.as_ref()?.instant
    }
}

impl Drop for SharedCallGrant {
    fn drop(&mut self) {
        if let Some(call_grant) = self.call_grant.take() {
            self.account.ended(call_grant, self.per);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::domain::{AccountName, BalanceKey, Selector};
    use crate::metrics::Metrics;
    use crate::shared::{Shared, SharedAccountSettings, SharedSettings};

    #[test]
    fn without_the_store_only_the_local_share_applies() {
        let settings = SharedSettings::unreachable(3);
        let shared =
            Shared::new(settings, clock::now, Metrics::new("0", "0").unwrap().shared().unwrap()).unwrap();
        let name = AccountName::parse("a").unwrap();
        let budget = BudgetSettings { requests: 9, per: Duration::from_mins(1) };
        let in_store = SharedAccountSettings {
            balances: &[BalanceKey::new(&name, &[], &Selector::default())],
            answers_all_balances: false,
            per: budget.per,
        };
        let account = shared.account(&name, in_store);

        let gate = Gate::new(budget, Some(account), clock::now);

        let now = clock::now().monotonic;
        assert_eq!((gate.limit(), gate.remaining(now)), (3, 3));
        let calls: Vec<_> = (0..3).map(|_| gate.budget.note(now)).collect();
        assert!(!gate.has_room(Priority::Certain, now));
        drop(calls);
    }
}
