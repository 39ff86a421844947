//! One balance for one caller: from memory, from a read, or the last snapshot when a read fails.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::Gateway;
use super::account::{Account, BalanceSlot};
use crate::cache::{Absence, Peek, Question};
use crate::domain::{Failure, Moment, Priority, RetryAfter, Snapshot, UpstreamError, Wish};

/// What a caller asks, whichever balance it is.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When the request came.
    pub arrived: Moment,
    /// What it says about freshness.
    pub wish: Wish,
    /// Until when the caller waits.
    pub deadline: Instant,
}

/// A balance that may be served.
#[derive(Debug)]
pub struct Found {
    /// The balance.
    pub snapshot: Arc<Snapshot>,
    /// How it was found.
    pub via: Via,
}

/// How a balance was found: what `Cache-Status` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// In memory; over `fresh_for`, the last read may have failed.
    Memory {
        /// Whether the last read failed or was refused.
        is_failing: bool,
    },
    /// A read brought it.
    Read {
        /// Why memory did not do.
        absence: Absence,
        /// Whether another caller began the read.
        is_collapsed: bool,
    },
}

/// Why no balance is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Account or provider switched off.
    Disabled,
    /// Nothing acceptable in memory, and the caller wants nobody asked.
    NotCached,
    /// The caller's own deadline passed first.
    DeadlineExceeded,
    /// The caller's limit of forced reads.
    ForcedLimit(RetryAfter),
    /// The read failed, or was refused.
    Failed(UpstreamError, Option<RetryAfter>),
}

impl Gateway {
    /// Serves one balance. `charge` takes a unit of the caller's forced limit, or says when there is one.
    ///
    /// # Errors
    /// [`Refusal`] when there is no snapshot that the caller may have.
    pub async fn balance(
        &self,
        account: &Account,
        slot: &BalanceSlot,
        asked: &Asked,
        charge: impl FnOnce() -> Result<(), RetryAfter>,
    ) -> Result<Found, Refusal> {
        if !account.is_enabled() {
            return Err(Refusal::Disabled);
        }
        let limits = account.limits();
        let question = Question { key: slot.key, demand: asked.wish.demand(asked.arrived, limits), limits };
        match self.cache.peek(&question).await {
            Peek::Fresh(snapshot) => Ok(Found { snapshot, via: Via::Memory { is_failing: false } }),
            // Boxed: whatever waits is large, and would make the future of every hit so.
            peek => {
                Box::pin(self.not_fresh(peek, account, slot.index, question, asked.deadline, charge)).await
            }
        }
    }

    /// What memory alone does not answer, or not for long.
    async fn not_fresh(
        &self,
        peek: Peek,
        account: &Account,
        index: usize,
        question: Question,
        deadline: Instant,
        charge: impl FnOnce() -> Result<(), RetryAfter>,
    ) -> Result<Found, Refusal> {
        let demand = question.demand;
        let upstream = Arc::clone(&account.upstream);
        let read = move |priority| {
            let upstream = Arc::clone(&upstream);
            async move { upstream.read(index, priority).await }
        };
        let (absence, held) = match peek {
            Peek::Fresh(snapshot) => return Ok(Found { snapshot, via: Via::Memory { is_failing: false } }),
            Peek::Stale { snapshot, is_failing } => {
                if !demand.only_if_cached() {
                    self.cache.refresh_behind(&question, read).await;
                }
                return Ok(Found { snapshot, via: Via::Memory { is_failing } });
            }
            Peek::Absent { .. } if demand.only_if_cached() => return Err(Refusal::NotCached),
            Peek::Absent { absence, held } => (absence, held),
        };
        let is_forced = absence == Absence::Request && demand.is_own();
        if is_forced && let Err(retry_after) = charge() {
            return self.last_resort(&question, Refusal::ForcedLimit(retry_after)).await;
        }
        if let Some(failure) = held {
            account.upstream.note_refused_by_hold();
            return self.last_resort(&question, self.failed(failure)).await;
        }
        let priority = if demand.is_own() { Priority::Demanded } else { Priority::Plain };
        let Ok(read) = timeout_at(deadline.into(), self.cache.read(&question, priority, read)).await else {
            return self.last_resort(&question, Refusal::DeadlineExceeded).await;
        };
        match read.result {
            Ok(snapshot) => {
                Ok(Found { snapshot, via: Via::Read { absence, is_collapsed: read.is_collapsed } })
            }
            Err(failure) => self.last_resort(&question, self.failed(failure)).await,
        }
    }

    /// The last snapshot, for a caller who takes it when the read fails.
    async fn last_resort(&self, question: &Question, refusal: Refusal) -> Result<Found, Refusal> {
        let snapshot = self.cache.fallback(question).await.ok_or(refusal)?;
        Ok(Found { snapshot, via: Via::Memory { is_failing: true } })
    }

    fn failed(&self, failure: Failure) -> Refusal {
        Refusal::Failed(failure.error, failure.retry_after((self.clock)().monotonic))
    }

    /// Makes every later read of these balances need a snapshot from after this moment.
    #[must_use]
    pub fn invalidate(&self, slots: &[BalanceSlot]) -> Moment {
        let keys: Vec<_> = slots.iter().map(|slot| slot.key).collect();
        self.cache.invalidate(&keys)
    }
}
