//! The balances that are known, judged and coalesced: one path for hit, miss, expired, forced, invalidated and
//! background refresh. moka makes many callers share one read; whether what it brought will do is judged here.
//!
//! A read is one detached task: a caller who hangs up changes nothing for the others. moka's own expiry is a bound
//! on memory alone.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use moka::ops::compute::Op;

use super::entry::Entry;
use super::listeners::{Listener, Listeners};
use super::marks::{IDLE_LIFE, Marks};
use super::question::{Question, Terms};
use crate::domain::{
    Answer, BalanceKey, Clock, Demand, DigestState, Failure, Moment, Order, Priority, Snapshot, UpstreamError,
};
use crate::shared::Shared;
use crate::trace::{Origin, Reads, Tracer};

/// A caller needs the read that runs and the next one, and two more where a refusal was not for its priority or what
/// came was over the ceiling.
const MOST_ROUNDS: u32 = 4;

/// The snapshots and held failures of every balance.
#[derive(Clone, Debug)]
pub struct BalanceCache {
    pub(super) entries: moka::future::Cache<BalanceKey, Arc<Entry>, DigestState>,
    /// When a balance was last invalidated; kept as long as a snapshot from before it may be stored.
    pub(super) marks: Marks,
    /// What several replicas know together, if they share anything.
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) clock: Clock,
    pub(super) reads: Reads,
    /// Those who follow a balance.
    pub(super) listeners: Listeners,
}

/// How one round ended.
struct Round {
    /// The question in the store's terms.
    question: Question,
    entry: Arc<Entry>,
    /// Whether this caller's read brought the entry.
    is_own: bool,
}

/// What a read brought for one caller.
#[derive(Debug)]
pub struct Read {
    /// The snapshot, or why there is none.
    pub result: Result<Arc<Snapshot>, Failure>,
    /// Whether another caller began the read that decided.
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
            shared: None,
            clock,
            reads: Reads::default(),
            listeners: Listeners::default(),
        }
    }

    /// The same cache, whose reads are traced from now on, or no longer.
    #[must_use]
    pub fn traced(&self, tracer: Option<Tracer>) -> Self {
        Self { reads: self.reads.traced(tracer), ..self.clone() }
    }

    /// Shares a running read that will do, or the failure that is held, or begins a read. `read` may be called
    /// more than once, and goes on when the caller leaves.
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
            // What another replica has is not looked up again where it does not do, by a clock of ours.
            if let Some(turn) = entry.snapshot().and_then(|snapshot| snapshot.turn()) {
                question.demand = question.demand.above(turn);
            }
        }
        // An own read that does not do was over the ceiling before it could be served; it is tried again once.
        let failure = Failure { error: UpstreamError::Timeout, retry_at: None, is_held: false };
        Read { result: Err(failure), is_collapsed: false }
    }

    /// Begins a refresh behind an answer, unless one runs or a failure says when it is worth trying again.
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
                // This replica's clock found it stale; the store's clock may still call it fresh.
                if let Some(turn) = refreshing.stale_turn() {
                    question.demand = question.demand.above(turn);
                }
                cache.round(question, Terms::OfTheStore, Priority::Background, origin, read).await;
                drop(refreshing);
            });
        }
    }

    /// The last snapshot, for when a read failed: at most `oldest` old and within the ceiling.
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

    /// From now on, reads of this balance need a snapshot from after this moment, which is returned.
    #[must_use]
    pub fn invalidate(&self, keys: &[BalanceKey]) -> Moment {
        let now = (self.clock)();
        self.marks.invalidate(keys, now.monotonic);
        now
    }

    /// Forgets that a read failed because of refused credentials; what else is known stays.
    pub async fn forget_refusal(&self, key: &BalanceKey) {
        let entry = self.entries.entry_by_ref(key);
        entry
            .and_compute_with(|entry| async move {
                let forgotten = entry.and_then(|entry| entry.into_value().without_refusal());
                forgotten.map_or(Op::Nop, |entry| Op::Put(Arc::new(entry)))
            })
            .await;
    }

    /// The stored snapshot of a balance, whatever its age.
    pub async fn stored(&self, key: &BalanceKey) -> Option<Arc<Snapshot>> {
        self.entries.get(key).await?.snapshot().cloned()
    }

    /// Sets the listener that hears from now on what is stored of a balance.
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

    /// One round: a stored answer, a read that runs, or a new read. The whole round is a task of its own, so that a
    /// caller who leaves stops neither the look-up in the store nor the read.
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
                // A replica may invalidate the balance while the store is asked.
                Terms::OfThisReplica if cache.shared.is_some() => {
                    cache.marked(cache.with_ticket(question).await)
                }
                Terms::OfThisReplica | Terms::OfTheStore => question,
            };
            let needs_read = |entry: &Arc<Entry>| entry.needs_read(&question, priority, clock());
            let init = cache.read_once(question, priority, origin, read);
            let entry = cache.entries.entry_by_ref(&question.key).or_insert_with_if(init, needs_read).await;
            let is_own = entry.is_fresh();
            Round { question, entry: entry.into_value(), is_own }
        });
        round.await.unwrap_or_else(|_| Round {
            question,
            entry: Arc::new(Entry::after(None, defect(priority, clock()), clock())),
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
        let (clock, order) = (self.clock, Order { priority, ticket: question.demand.ticket() });
        let (stored, reads, listeners) = (self.entries.clone(), self.reads.clone(), self.listeners.clone());
        async move {
            let trace = reads.begin(question.key, origin, clock());
            // A panic must end this read alone; were it passed on, each waiter would start the next.
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
            let entry = Entry::after(before.as_deref(), answer, clock()).with_trace(trace);
            // Before anybody finds it in memory, so that listeners hear of reads in their order.
            listeners.stored(&question.key, &entry);
            Arc::new(entry)
        }
    }
}

fn defect(priority: Priority, now: Moment) -> Answer {
    Answer { priority, sent_at: now.monotonic, turn: None, is_elsewhere: false, result: Err(Failure::DEFECT) }
}
