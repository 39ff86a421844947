//! What lets a call out: the account's budget, shared with other replicas where they share, and who asks until when.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::budget::{Budget, BudgetSettings, Grant};
use crate::domain::{Clock, Priority, StoreTime};
use crate::shared::{Allowance, SharedAccount, StoreWait, Unit};

/// On what terms a read is made.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) priority: Priority,
    /// When the whole read ends.
    pub(super) deadline: Instant,
    /// Its number in the shared store's order, if it has one.
    pub(super) number: Option<u64>,
    /// How long the read may still wait for the store; `None` for a read that does without it.
    pub(super) store_wait: tokio::sync::Mutex<Option<StoreWait>>,
    /// The call that came with the number.
    pub(super) first: Mutex<Option<Unit>>,
    /// Whether a call left.
    pub(super) was_called: AtomicBool,
}

impl Terms {
    /// The terms of what is none of the shared store's reads, whose calls it counts all the same.
    pub(super) fn counted(priority: Priority, deadline: Instant, wait: Option<StoreWait>) -> Self {
        let store_wait = tokio::sync::Mutex::new(wait);
        Self {
            priority,
            deadline,
            number: None,
            store_wait,
            first: Mutex::default(),
            was_called: AtomicBool::default(),
        }
    }

    /// The terms of a read that does without the store: it was of no use just now.
    pub(super) fn alone(priority: Priority, deadline: Instant) -> Self {
        Self::counted(priority, deadline, None)
    }

    /// The call that came with the read, if it may still leave.
    fn take_first(&self, account: &Arc<SharedAccount>, now: Instant) -> Option<Unit> {
        let unit = self.first.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if unit.is_good(now) {
            return Some(unit);
        }
        account.ended(unit, Duration::ZERO);
        None
    }
}

/// The budget of one account.
#[derive(Debug)]
pub(super) struct Gate {
    budget: Budget,
    /// What this replica may do while the store does not know of all calls.
    alone: Budget,
    shared: Option<Arc<SharedAccount>>,
    clock: Clock,
}

/// The right to make one call; the attempt ends when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _grant: Grant,
    shared: Option<SharedUnit>,
}

#[derive(Debug)]
struct SharedUnit {
    account: Arc<SharedAccount>,
    /// Until it is dropped.
    unit: Option<Unit>,
    per: Duration,
}

impl Gate {
    pub(super) fn new(settings: BudgetSettings, shared: Option<Arc<SharedAccount>>, clock: Clock) -> Self {
        Self::over(Budget::new(settings, clock), shared, clock)
    }

    /// Another gate over the same calls.
    pub(super) fn resized(&self, settings: BudgetSettings, shared: Option<Arc<SharedAccount>>) -> Self {
        Self::over(self.budget.resized(settings), shared, self.clock)
    }

    fn over(budget: Budget, shared: Option<Arc<SharedAccount>>, clock: Clock) -> Self {
        let replicas = shared.as_ref().map_or(1, |shared| shared.replicas());
        Self { alone: budget.divided(replicas), budget, shared, clock }
    }

    /// What this replica goes by now.
    fn current(&self) -> &Budget {
        if self.shared.as_ref().is_some_and(|shared| !shared.is_sharing()) {
            &self.alone
        } else {
            &self.budget
        }
    }

    /// How long one read may wait for the store, where replicas share.
    pub(super) fn store_wait(&self) -> Option<StoreWait> {
        self.shared.as_ref().map(|shared| shared.store_wait())
    }

    pub(super) fn limit(&self) -> u32 {
        self.current().limit()
    }

    pub(super) fn remaining(&self, now: Instant) -> u32 {
        let own = self.current().remaining(now);
        let counted = self.shared.as_ref().and_then(|shared| shared.counted(now));
        counted.map_or(own, |counted| own.min(self.limit().saturating_sub(counted)))
    }

    /// Whether a call could leave now, as far as this replica knows.
    pub(super) fn has_room(&self, priority: Priority, now: Instant) -> bool {
        self.current().has_room(priority, now)
    }

    /// How many calls of all replicas may leave for this priority, and how many of ours count.
    pub(super) fn allowance(&self, priority: Priority, attempt: Duration) -> Allowance {
        Allowance {
            requests: self.budget.settings.requests,
            share: self.budget.share(priority),
            own_share: self.alone.share(priority),
            per: self.budget.settings.per,
            attempt,
        }
    }

    /// Lets one call out, or says after what time it is worth asking again.
    pub(super) async fn permit(&self, terms: &Terms, attempt: Duration) -> Result<Permit, Duration> {
        let now = (self.clock)().monotonic;
        let Some(account) = &self.shared else {
            return Ok(Permit { _grant: self.budget.grant(terms.priority, now)?, shared: None });
        };
        let per = self.budget.settings.per;
        let unit = match terms.take_first(account, now) {
            Some(unit) => Some(unit),
            None if account.is_sharing() => match &mut *terms.store_wait.lock().await {
                // Boxed: nearly no read comes here.
                Some(wait) => {
                    let taken = Box::pin(account.take(self.allowance(terms.priority, attempt), wait)).await;
                    taken.ok().transpose()?
                }
                None => None,
            },
            None => None,
        };
        let now = (self.clock)().monotonic;
        let (grant, unit) = if let Some(unit) = unit {
            (self.budget.note(now), unit)
        } else {
            let grant = self.alone.grant(terms.priority, now)?;
            (grant, account.alone(self.allowance(terms.priority, attempt)))
        };
        let shared = SharedUnit { account: Arc::clone(account), unit: Some(unit), per };
        Ok(Permit { _grant: grant, shared: Some(shared) })
    }
}

impl Permit {
    /// The store's clock when it was granted, if the store granted it.
    pub(super) fn instant(&self) -> Option<StoreTime> {
        self.shared.as_ref()?.unit.as_ref()?.instant
    }
}

impl Drop for SharedUnit {
    fn drop(&mut self) {
        if let Some(unit) = self.unit.take() {
            self.account.ended(unit, self.per);
        }
    }
}
