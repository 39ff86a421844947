//! What one caller gets of one balance: from memory, from a read, or the last snapshot when a read fails; its age
//! judged once more when it is handed over.
//!
//! Knows no account and no provider: the model tests have both in memory.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::asked::Asked;
use super::forced::Forced;
use super::found::{Found, Via};
use super::refusal::Refusal;
use crate::cache::{Absence, BalanceCache, Peek, Question};
use crate::domain::{Answer, BalanceKey, Clock, Failure, Limits, Order, Priority, RetryAfter, UpstreamError};

/// The way to read one balance.
pub trait Source: Clone + Send + Sync + 'static {
    /// One whole read.
    fn read(&self, order: Order) -> impl Future<Output = Answer> + Send + 'static + use<Self>;

    /// Counts a caller who got the failure that is held.
    fn note_refused_by_hold(&self);
}

/// One balance, and where it may come from.
#[derive(Debug)]
pub struct Lookup<'a, S> {
    /// The snapshots in memory.
    pub cache: &'a BalanceCache,
    /// Tells the time.
    pub clock: Clock,
    /// Which balance.
    pub key: BalanceKey,
    /// The balance's limits.
    pub limits: Limits,
    /// Reads the balance when memory does not have it.
    pub source: &'a S,
}

impl<S: Source> Lookup<'_, S> {
    /// Finds the balance, and once more if it passed the ceiling before it could be handed over.
    ///
    /// # Errors
    /// Why no balance is served.
    pub async fn serve<F: Forced>(
        &self,
        asked: &Asked,
        charge: impl Fn(Instant) -> Result<F, RetryAfter>,
    ) -> Result<(Found, Duration), Refusal> {
        let mut asked = *asked;
        for _ in 0..2 {
            let found = self.find(&asked, &charge).await?;
            let now = (self.clock)();
            if let Some(age) = found.age(self.limits, now) {
                return Ok((found, age));
            }
            asked.arrived = now;
        }
        Err(Refusal::Failed(UpstreamError::Timeout, None))
    }

    /// Finds the balance; whoever hands it over judges its age.
    ///
    /// # Errors
    /// Why no balance is served.
    pub async fn find<F: Forced>(
        &self,
        asked: &Asked,
        charge: impl FnOnce(Instant) -> Result<F, RetryAfter>,
    ) -> Result<Found, Refusal> {
        let Self { key, limits, .. } = *self;
        let question = Question { key, demand: asked.wish.demand(asked.arrived, limits), limits };
        match self.cache.peek(&question).await {
            Peek::Fresh(snapshot) => Ok(Found { snapshot, via: Via::Memory { is_failing: false } }),
            // Boxed: whatever waits is large, and would make the future of every hit so.
            peek => Box::pin(self.not_fresh(peek, question, asked.deadline, charge)).await,
        }
    }

    /// What memory alone does not answer, or not for long.
    async fn not_fresh<F: Forced>(
        &self,
        peek: Peek,
        question: Question,
        deadline: Instant,
        charge: impl FnOnce(Instant) -> Result<F, RetryAfter>,
    ) -> Result<Found, Refusal> {
        let demand = question.demand;
        let source = self.source.clone();
        let read = move |order| source.read(order);
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
        let unit = match is_forced.then(|| charge(demand.arrived().monotonic)).transpose() {
            Ok(unit) => unit,
            Err(retry_after) => {
                return self.last_resort(&question, Refusal::ForcedLimit(retry_after)).await;
            }
        };
        if let Some(failure) = held {
            self.source.note_refused_by_hold();
            unit.give_back();
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
            Err(failure) => {
                if failure.is_refusal() {
                    unit.give_back();
                }
                self.last_resort(&question, self.failed(failure)).await
            }
        }
    }

    /// The last snapshot, for a caller who takes it when the read fails.
    async fn last_resort(&self, question: &Question, refusal: Refusal) -> Result<Found, Refusal> {
        let snapshot = self.cache.fallback(question).await.ok_or(refusal)?;
        Ok(Found { snapshot, via: Via::Fallback })
    }

    fn failed(&self, failure: Failure) -> Refusal {
        Refusal::Failed(failure.error, failure.retry_after((self.clock)().monotonic))
    }
}
