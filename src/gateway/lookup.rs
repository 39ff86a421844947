//! One lookup for one caller: a cached snapshot, a read, or the last snapshot after a failed read. The age is checked
//! again before the answer is written.
//!
//! It is independent of accounts and providers: the model tests simulate both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::context::RequestContext;
use super::forced::Forced;
use super::found::{Found, Via};
use super::refusal::Refusal;
use crate::cache::{Absence, BalanceCache, Peek, Question};
use crate::domain::{
    Answer, BalanceKey, Clock, Failure, Limits, ReadRequest, RetryAfter, Snapshot, UpstreamError,
};

/// Reads one balance.
pub trait BalanceSource: Clone + Send + Sync + 'static {
    /// Reads the balance once, all attempts included.
    fn read(&self, request: ReadRequest) -> impl Future<Output = Answer> + Send + 'static + use<Self>;

    /// The snapshots of other balances that came in the same answer.
    fn brought_along(&self, _: &Answer) -> Vec<(BalanceKey, Arc<Snapshot>)> {
        Vec::new()
    }

    /// Counts a caller that gets a held failure.
    fn note_refused_by_hold(&self);

    /// The failure that holds the balance longest: `own`, or one that another balance of the account caused.
    fn longest_hold(&self, own: Failure, _: Instant) -> Failure {
        own
    }
}

/// One balance and its sources.
#[derive(Debug)]
pub struct Lookup<'a, S> {
    /// The snapshots in memory.
    pub cache: &'a BalanceCache,
    /// Reads the clock.
    pub clock: Clock,
    /// The cache key of the balance.
    pub key: BalanceKey,
    /// The balance's limits.
    pub limits: Limits,
    /// Reads the balance if the cache has no acceptable snapshot.
    pub source: &'a S,
}

impl<S: BalanceSource> Lookup<'_, S> {
    /// Finds the balance, and looks it up again, once, if it expired before it could be served.
    ///
    /// # Errors
    /// Why no balance is served.
    pub async fn serve<F: Forced>(
        &self,
        context: &RequestContext,
        charge: impl Fn(Instant) -> Result<F, RetryAfter>,
    ) -> Result<(Found, Duration), Refusal> {
        let mut context = *context;
        for _ in 0..2 {
            let found = self.find(&context, &charge).await?;
            let now = (self.clock)();
            if let Some(age) = found.age(self.limits, now) {
                return Ok((found, age));
            }
            context.arrived = now;
        }
        Err(Refusal::Failed(UpstreamError::Timeout, None))
    }

    /// Finds the balance. The calling function must check its age again.
    ///
    /// # Errors
    /// Why no balance is served.
    pub async fn find<F: Forced>(
        &self,
        context: &RequestContext,
        charge: impl FnOnce(Instant) -> Result<F, RetryAfter>,
    ) -> Result<Found, Refusal> {
        let Self { key, limits, .. } = *self;
        let question = Question { key, demand: context.directives.demand(context.arrived, limits), limits };
        match self.cache.peek(&question).await {
            Peek::Fresh(snapshot) => Ok(Found { snapshot, via: Via::Memory { is_failing: false } }),
            // Boxed, because the future of a waiting request is large and would enlarge the future of every hit.
            peek => Box::pin(self.not_fresh(peek, question, context.deadline, charge)).await,
        }
    }

    /// A lookup that the cache alone cannot answer.
    async fn not_fresh<F: Forced>(
        &self,
        peek: Peek,
        question: Question,
        deadline: Instant,
        charge: impl FnOnce(Instant) -> Result<F, RetryAfter>,
    ) -> Result<Found, Refusal> {
        let demand = question.demand;
        let (source, cache) = (self.source.clone(), self.cache.clone());
        let read = move |request| {
            let (source, cache) = (source.clone(), cache.clone());
            async move {
                let answer = source.read(request).await;
                cache.fill(source.brought_along(&answer), answer.sent_at);
                answer
            }
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
        let is_forced = absence == Absence::Request && demand.is_explicit();
        let unit = match is_forced.then(|| charge(demand.arrived().monotonic)).transpose() {
            Ok(unit) => unit,
            Err(retry_after) => {
                return self.last_resort(&question, Refusal::ForcedLimit(retry_after)).await;
            }
        };
        if let Some(failure) = held {
            self.source.note_refused_by_hold();
            let failure = self.source.longest_hold(failure, demand.arrived().monotonic);
            unit.give_back(failure.error);
            return self.last_resort(&question, self.failed(failure)).await;
        }
        let priority = demand.priority();
        let Ok(read) = timeout_at(deadline.into(), self.cache.read(&question, priority, read)).await else {
            return self.last_resort(&question, Refusal::DeadlineExceeded).await;
        };
        match read.result {
            Ok(snapshot) => {
                Ok(Found { snapshot, via: Via::Read { absence, is_collapsed: read.is_collapsed } })
            }
            Err(failure) => {
                if failure.is_free() {
                    unit.give_back(failure.error);
                }
                self.last_resort(&question, self.failed(failure)).await
            }
        }
    }

    /// The last snapshot, for a caller that accepts it when the read fails (`stale-if-error`); else the refusal.
    async fn last_resort(&self, question: &Question, refusal: Refusal) -> Result<Found, Refusal> {
        let snapshot = self.cache.fallback(question).await.ok_or(refusal)?;
        Ok(Found { snapshot, via: Via::Fallback })
    }

    fn failed(&self, failure: Failure) -> Refusal {
        Refusal::Failed(failure.error, failure.retry_after((self.clock)().monotonic))
    }
}
