//! The cache of balances: one code path for hit, miss, expired, forced, invalidated and background refresh. moka makes
//! callers share one read; this file decides whether its result is acceptable.
//!
//! A read is a detached task: a caller that leaves does not affect the others. moka's own expiry only bounds memory.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Instant;

use futures_util::FutureExt;

use super::entry::Entry;
use super::listeners::{Listener, Listeners};
use super::marks::{IDLE_LIFE, Marks};
use super::question::{Question, Terms};
use moka::ops::compute::Op;

use crate::domain::{
    Answer, BalanceKey, Clock, Demand, DigestState, Failure, Moment, Order, Priority, Snapshot, UpstreamError,
};
use crate::shared::Shared;
use crate::trace::{Origin, Reads, Tracer};

/// Most rounds of one lookup: the running read and the next one, plus two for a refusal at another priority and for a
/// result over the ceiling.
const MOST_ROUNDS: u32 = 4;

/// The snapshots and held failures of every balance.
#[derive(Clone, Debug)]
pub struct BalanceCache {
    pub(super) entries: moka::future::Cache<BalanceKey, Arc<Entry>, DigestState>,
    /// Time of the last invalidation of each balance; kept while an older snapshot may still be cached.
    pub(super) marks: Marks,
    /// Time of the last change of each balance's credentials.
    pub(super) changed_credentials: Marks,
    /// The shared store, if configured.
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) clock: Clock,
    pub(super) reads: Reads,
    /// Listeners to balances, for event streams.
    pub(super) listeners: Listeners,
}

/// The result of one round.
struct Round {
    /// The question in the store's terms.
    question: Question,
    entry: Arc<Entry>,
    /// Whether this caller's read made the entry.
    is_own: bool,
}

/// The result of a read for one caller.
#[derive(Debug)]
pub struct Read {
    /// The snapshot, or why the read failed.
    pub result: Result<Arc<Snapshot>, Failure>,
    /// Whether another caller started the read.
    pub is_collapsed: bool,
}

impl BalanceCache {
    /// An empty cache.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            entries: moka::future::Cache::builder()
                .time_to_idle(IDLE_LIFE)
                .build_with_hasher(DigestState::default()),
            marks: Marks::default(),
            changed_credentials: Marks::default(),
            shared: None,
            clock,
            reads: Reads::default(),
            listeners: Listeners::default(),
        }
    }

    /// The same cache with another tracer, or without one.
    #[must_use]
    pub fn traced(&self, tracer: Option<Tracer>) -> Self {
        Self { reads: self.reads.traced(tracer), ..self.clone() }
    }

    /// Joins an acceptable running read, returns a held failure, or starts a read. `read` may be called more than once, and
    /// continues when the caller leaves.
    pub async fn read<F, R>(&self, question: &Question, priority: Priority, read: R) -> Read
    where
        R: Fn(Order) -> F + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut question = self.marked(self.judged_here(*question));
        let (mut own_reads, mut terms) = (0, Terms::OfThisReplica);
        for _ in 0..MOST_ROUNDS {
            let waiting = self.reads.wait(question.key);
            let round = self.round(question, terms, priority, Origin::current(), read.clone()).await;
            let Round { entry, is_own, .. } = round;
            (question, terms) = (round.question, Terms::OfTheStore);
            waiting.end(entry.trace());
            own_reads += u32::from(is_own);
            if let Some(result) = entry.judge(&question, priority, (self.clock)()) {
                return Read { result, is_collapsed: !is_own || entry.is_elsewhere() };
            }
            if own_reads == 2 {
                break;
            }
            // If the answer of another replica was not acceptable by our clock, it is not looked up again.
            if let Some(turn) = entry.snapshot().and_then(|snapshot| snapshot.turn()) {
                question.demand = question.demand.above(turn);
            }
        }
        // If the own read is not acceptable, it expired before it could be served; it is tried again once.
        let failure = Failure { error: UpstreamError::Timeout, retry_at: None, is_held: false };
        Read { result: Err(failure), is_collapsed: false }
    }

    /// Starts a background refresh, unless one runs or a failure defers the next try.
    pub async fn refresh_behind<F, R>(&self, question: &Question, read: R)
    where
        R: Fn(Order) -> F + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let now = (self.clock)();
        let Some(entry) = self.entries.get(&question.key).await else { return };
        let demand =
            Demand::refresh(now, question.limits).and_after(self.marks.get(&question.key, now.monotonic));
        let question = Question { demand, ..*question };
        if let Some(refreshing) = entry.begin_refresh(&question, now) {
            let (cache, origin) = (self.clone(), Origin::current());
            tokio::spawn(async move {
                let mut question = cache.with_ticket(question).await;
                // Stale by this replica's clock; it may still be fresh by the store's clock.
                if let Some(turn) = refreshing.stale_turn() {
                    question.demand = question.demand.above(turn);
                }
                cache.round(question, Terms::OfTheStore, Priority::Background, origin, read).await;
                drop(refreshing);
            });
        }
    }

    /// The last snapshot, as a fall-back after a failed read: at most `oldest` old and within the ceiling.
    pub async fn fallback(&self, question: &Question) -> Option<Arc<Snapshot>> {
        let now = (self.clock)();
        let was_invalidated = self.marks.get(&question.key, now.monotonic).is_some();
        let ceiling = question.limits.max_age;
        let is_everybodys = was_invalidated && !question.demand.is_own();
        let oldest = if is_everybodys { ceiling.get() } else { question.demand.fallback()? };
        let entry = self.entries.get(&question.key).await?;
        let snapshot = entry.snapshot()?;
        let age = snapshot.age_at(now);
        (age <= oldest && age < ceiling.get()).then(|| Arc::clone(snapshot))
    }

    /// Invalidates a balance: later reads need a snapshot from after the returned moment.
    #[must_use]
    pub fn invalidate(&self, keys: &[BalanceKey]) -> Moment {
        let now = (self.clock)();
        self.marks.invalidate(keys, now.monotonic);
        now
    }

    /// Forgets a failure because of refused credentials, also that of a read which ends at the same time; everything else
    /// stays.
    pub async fn forget_refusal(&self, key: &BalanceKey) {
        // Before the look: a read that stores its entry after the look finds the mark.
        self.changed_credentials.invalidate(&[*key], (self.clock)().monotonic);
        if let Some(entry) = self.entries.get(key).await {
            entry.forget_refusal();
        }
    }

    /// Drops what is stored of these balances; what reads under way still bring is too old for everybody.
    pub async fn remove(&self, keys: &[BalanceKey]) {
        self.marks.invalidate(keys, (self.clock)().monotonic);
        for key in keys {
            self.entries.invalidate(key).await;
        }
    }

    /// Stores, behind, what a read of another balance brought along at this instant; never over a younger snapshot.
    pub fn fill(&self, snapshots: Vec<(BalanceKey, Arc<Snapshot>)>, sent_at: Instant) {
        if snapshots.is_empty() {
            return;
        }
        let cache = self.clone();
        tokio::spawn(async move {
            for (key, snapshot) in snapshots {
                cache.fill_one(key, snapshot, sent_at).await;
            }
        });
    }

    async fn fill_one(&self, key: BalanceKey, snapshot: Arc<Snapshot>, sent_at: Instant) {
        let (listeners, clock) = (&self.listeners, self.clock);
        let filled = |entry: Option<moka::Entry<BalanceKey, Arc<Entry>>>| async move {
            let before = entry.map(moka::Entry::into_value);
            let requested_at = |snapshot: &Arc<Snapshot>| snapshot.requested_at().monotonic;
            let stored = before.as_ref().and_then(|before| before.snapshot()).map(requested_at);
            if stored.is_some_and(|stored| stored >= requested_at(&snapshot)) {
                return Op::Nop;
            }
            let priority = Priority::Background;
            let answer = Answer { priority, sent_at, turn: None, is_elsewhere: false, result: Ok(snapshot) };
            let entry = Entry::after(before.as_deref(), answer, None, clock());
            listeners.stored(&key, &entry);
            Op::Put(Arc::new(entry))
        };
        self.entries.entry_by_ref(&key).and_compute_with(filled).await;
    }

    /// The stored snapshot of a balance, at any age.
    pub async fn stored(&self, key: &BalanceKey) -> Option<Arc<Snapshot>> {
        self.entries.get(key).await?.snapshot().cloned()
    }

    /// Sets the listener to the stored state of a balance.
    pub fn listen(&self, key: BalanceKey, listener: Weak<dyn Listener>) {
        self.listeners.set(key, listener);
    }

    /// How the last read of a balance failed, if it did.
    pub async fn failure(&self, key: &BalanceKey) -> Option<Failure> {
        self.entries.get(key).await?.failure()
    }

    /// The question for a balance that may have been invalidated.
    fn marked(&self, question: Question) -> Question {
        let mark = self.marks.get(&question.key, question.demand.arrived().monotonic);
        Question { demand: question.demand.and_after(mark), ..question }
    }

    /// When the credentials of a balance last changed, as far as it is known.
    fn credentials_changed_at(&self, key: &BalanceKey) -> Option<Instant> {
        self.changed_credentials.get(key, (self.clock)().monotonic).map(|mark| mark.at)
    }

    /// One round: a stored answer, a running read, or a new read. The round has its own task, so that a leaving caller
    /// stops neither the look-up in the store nor the read.
    async fn round<F, R>(
        &self,
        question: Question,
        terms: Terms,
        priority: Priority,
        origin: Origin,
        read: R,
    ) -> Round
    where
        R: FnOnce(Order) -> F + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let (cache, clock) = (self.clone(), self.clock);
        let round = tokio::spawn(async move {
            let question = match terms {
                // Another replica may invalidate the balance during the look-up in the store.
                Terms::OfThisReplica if cache.shared.is_some() => {
                    cache.marked(cache.with_ticket(question).await)
                }
                Terms::OfThisReplica | Terms::OfTheStore => question,
            };
            let needs_read = |entry: &Arc<Entry>| entry.needs_read(&question, priority, clock());
            let init = cache.read_once(question, priority, origin, read);
            let entry = cache.entries.entry_by_ref(&question.key).or_insert_with_if(init, needs_read).await;
            let is_own = entry.is_fresh();
            if is_own && !entry.value().began_under(cache.credentials_changed_at(&question.key)) {
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
        R: FnOnce(Order) -> F + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let (clock, order) =
            (self.clock, Order { priority, ticket: question.demand.ticket(), demand: Some(question.demand) });
        let (stored, reads, listeners) = (self.entries.clone(), self.reads.clone(), self.listeners.clone());
        let (cache, shared) = (self.clone(), self.shared.clone());
        async move {
            let credentials = cache.credentials_changed_at(&question.key);
            let trace = reads.begin(question.key, origin, clock());
            // A panic must end only this read; if it were passed on, each waiter would start another read.
            let reading = AssertUnwindSafe(async { read(order).await }).catch_unwind();
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
            let entry = entry.with_trace(trace).begun_under(credentials);
            // Before the entry is visible in the cache, so that listeners receive reads in their order.
            listeners.stored(&question.key, &entry);
            Arc::new(entry)
        }
    }
}

fn defect(priority: Priority, now: Moment) -> Answer {
    Answer { priority, sent_at: now.monotonic, turn: None, is_elsewhere: false, result: Err(Failure::DEFECT) }
}

#[cfg(test)]
mod tests;
