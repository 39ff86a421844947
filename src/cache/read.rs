//! Reads through the cache: callers share one read, and each judges whether its result is acceptable.
//!
//! There is one code path for miss, expired, forced, invalidated and background refresh. A read is a detached task: a
//! caller that leaves does not affect the others.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use super::balance_cache::BalanceCache;
use super::entry::Entry;
use super::question::{Question, StoreOrder};
use crate::domain::{Answer, Demand, Failure, Moment, Priority, ReadRequest, Snapshot, UpstreamError};
use crate::trace::Origin;

/// Most rounds of one lookup: the running read and the next one, plus two for a refusal at another priority and for a
/// result over the ceiling.
pub(super) const MOST_ROUNDS: u32 = 4;

/// The result of a read for one caller.
#[derive(Debug)]
pub struct Read {
    /// The snapshot, or why the read failed.
    pub result: Result<Arc<Snapshot>, Failure>,
    /// Whether another caller started the read.
    pub is_collapsed: bool,
}

/// The result of one round.
struct Round {
    /// The question after the store's order was read.
    question: Question,
    entry: Arc<Entry>,
    /// Whether this caller's read made the entry.
    is_own: bool,
}

impl BalanceCache {
    /// Joins an acceptable running read, returns a held failure, or starts a read. `read` may be called more than once.
    /// A read that it started continues if the caller leaves.
    pub async fn read<F, R>(&self, question: &Question, priority: Priority, read: R) -> Read
    where
        R: Fn(ReadRequest) -> F + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut question = self.marked(self.by_store_clock(*question));
        let (mut own_reads, mut order) = (0, StoreOrder::Unread);
        for _ in 0..MOST_ROUNDS {
            let waiting = self.reads.wait(question.key);
            let round = self.round(question, order, priority, Origin::current(), read.clone()).await;
            let Round { entry, is_own, .. } = round;
            (question, order) = (round.question, StoreOrder::Read);
            waiting.end(entry.trace());
            own_reads += u32::from(is_own);
            if let Some(result) = entry.judge(&question, priority, (self.clock)()) {
                return Read { result, is_collapsed: !is_own || entry.is_from_other_replica() };
            }
            if own_reads == 2 {
                break;
            }
            // An answer of another replica that our clock rejects must not be found in the store again.
            if let Some(turn) = entry.latest_turn() {
                question.demand = question.demand.later_than(turn);
            }
        }
        // This caller's own read is unacceptable only if it expired before it could be served. It is retried once.
        let failure =
            Failure { error: UpstreamError::Timeout, retry_at: None, is_held: false, was_called: true };
        Read { result: Err(failure), is_collapsed: false }
    }

    /// Starts a background refresh, unless one runs or a failure defers the next try.
    pub async fn refresh_behind<F, R>(&self, question: &Question, read: R)
    where
        R: Fn(ReadRequest) -> F + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let now = (self.clock)();
        let Some(entry) = self.entries.get(&question.key).await else { return };
        let demand =
            Demand::refresh(now, question.limits).after_mark(self.marks.get(&question.key, now.monotonic));
        let question = Question { demand, ..*question };
        if let Some(refreshing) = entry.begin_refresh(&question, now) {
            let (cache, origin) = (self.clone(), Origin::current());
            tokio::spawn(async move {
                let mut question = cache.judged_by_store(question).await;
                // The stored snapshot is stale by this replica's clock, but the store could find it fresh: exclude its
                // turn.
                if let Some(turn) = refreshing.stale_turn() {
                    question.demand = question.demand.later_than(turn);
                }
                cache.round(question, StoreOrder::Read, Priority::Background, origin, read).await;
                drop(refreshing);
            });
        }
    }

    /// The question with the last invalidation of its balance, if any.
    fn marked(&self, question: Question) -> Question {
        let mark = self.marks.get(&question.key, question.demand.arrived().monotonic);
        Question { demand: question.demand.after_mark(mark), ..question }
    }

    /// One round: a stored answer, a running read, or a new read. The round has its own task, so that a caller that
    /// leaves stops neither the look-up in the store nor the read.
    async fn round<F, R>(
        &self,
        question: Question,
        order: StoreOrder,
        priority: Priority,
        origin: Origin,
        read: R,
    ) -> Round
    where
        R: FnOnce(ReadRequest) -> F + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let (cache, clock) = (self.clone(), self.clock);
        let round = tokio::spawn(async move {
            let question = match order {
                // Another replica may invalidate the balance during the look-up in the store.
                StoreOrder::Unread if cache.shared.is_some() => {
                    cache.marked(cache.judged_by_store(question).await)
                }
                StoreOrder::Unread | StoreOrder::Read => question,
            };
            let needs_read = |entry: &Arc<Entry>| entry.needs_read(&question, priority, clock());
            let init = cache.read_once(question, priority, origin, read);
            let entry = cache.entries.entry_by_ref(&question.key).or_insert_with_if(init, needs_read).await;
            let is_own = entry.is_fresh();
            if is_own && !entry.value().has_same_credentials(cache.credentials_changed_at(&question.key)) {
                entry.value().forget_refusal();
            }
            Round { question, entry: entry.into_value(), is_own }
        });
        round.await.unwrap_or_else(|_| Round {
            question,
            entry: Arc::new(Entry::after(None, defect(priority, clock()), None, clock())),
            is_own: true,
        })
    }

    /// Reads, and returns the entry to store.
    fn read_once<F, R>(
        &self,
        question: Question,
        priority: Priority,
        origin: Origin,
        read: R,
    ) -> impl Future<Output = Arc<Entry>> + Send + 'static + use<F, R>
    where
        R: FnOnce(ReadRequest) -> F + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let (clock, request) = (
            self.clock,
            ReadRequest { priority, ticket: question.demand.ticket(), demand: Some(question.demand) },
        );
        let (stored, reads, listeners) = (self.entries.clone(), self.reads.clone(), self.listeners.clone());
        let (cache, shared) = (self.clone(), self.shared.clone());
        async move {
            let credentials = cache.credentials_changed_at(&question.key);
            let trace = reads.begin(question.key, origin, clock());
            // A panic must end only this read; if it were passed on, each waiter would start another read.
            let reading = AssertUnwindSafe(async { read(request).await }).catch_unwind();
            let answer = match &trace {
                Some(trace) => trace.during(reading).await,
                None => reading.await,
            };
            let answer = answer.unwrap_or_else(|_| defect(priority, clock()));
            if let Some(trace) = &trace {
                reads.end(&question.key, trace, &answer, clock());
            }
            let before = stored.get(&question.key).await;
            let entry = Entry::after(before.as_deref(), answer, Some(&question.demand), clock());
            if let (Some(shared), Some(snapshot)) = (&shared, entry.kept_alone()) {
                shared.publish_alone(&question.key, Arc::clone(snapshot), question.limits.max_age);
            }
            let entry = cache.with_stored(entry, &question).await;
            let entry = entry.with_trace(trace).with_credentials_changed_at(credentials);
            // Before the entry is visible in the cache, so that listeners receive reads in their order.
            listeners.stored(&question.key, &entry);
            let entry = Arc::new(entry);
            cache.latest.set(question.key, &entry);
            entry
        }
    }
}

fn defect(priority: Priority, now: Moment) -> Answer {
    Answer {
        priority,
        sent_at: now.monotonic,
        turn: None,
        is_from_other_replica: false,
        result: Err(Failure::DEFECT),
    }
}
