//! One balance of a cache, and a provider that answers when the test says so.

mod ages;
mod clock;
mod coalescing;
mod failures;
mod invalidation;
mod refreshes;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};

use self::clock::{advance, just_under, now, step_wall_clock};
use super::*;
use crate::cache::read::MOST_ROUNDS;
use crate::cache::{Absence, Peek, Read};
use crate::domain::{
    AccountName, Amount, Currency, Directives, FreshFor, Limits, MaxAge, ObservedAt, ProviderName,
    ReadRequest, Reading, Selector, StoreTime, Turn, UpstreamError,
};

const FRESH_FOR: Duration = Duration::from_secs(10);
const MAX_AGE: Duration = Duration::from_mins(1);
/// The age from which no answer is started any more.
const LATEST_START: Duration = Duration::from_millis(59_950);
const SECOND: Duration = Duration::from_secs(1);
/// The smallest step of the clock.
const TICK: Duration = Duration::from_nanos(1);

const NONE: Directives = Directives {
    max_age: None,
    min_fresh: None,
    not_before: None,
    only_if_cached: false,
    stale_if_error: None,
    is_certain: false,
};
const FORCED: Directives = Directives { max_age: Some(Duration::ZERO), ..NONE };

/// Lets every task run until all of them wait for something.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

fn max_age(seconds: u64) -> Directives {
    Directives { max_age: Some(SECOND * u32::try_from(seconds).unwrap()), ..NONE }
}

fn snapshot(requested_at: Moment) -> Arc<Snapshot> {
    let reading = Reading {
        available: Amount::parse("48734.90", Currency::BRL).unwrap(),
        blocked: None,
        reserved: None,
        processing: None,
        total: None,
        reported: Vec::new(),
        observed_at: ObservedAt::Undocumented,
    };
    let (account, provider) = (AccountName::parse("a").unwrap(), ProviderName::parse("p").unwrap());
    Arc::new(Snapshot::new(&account, &provider, None, requested_at, reading))
}

/// A failure that is worth trying again after this time, and held until then.
fn held(wait: Duration) -> Failure {
    Failure {
        error: UpstreamError::Status(500),
        retry_at: Some(now().monotonic + wait),
        is_held: true,
        was_called: true,
    }
}

fn refused(error: UpstreamError) -> Failure {
    Failure { error, retry_at: Some(now().monotonic + SECOND), is_held: false, was_called: false }
}

/// A read that was sent and waits for its answer. If it is dropped without an answer, the read panics inside the
/// cache's task.
struct Pending {
    priority: Priority,
    sent_at: Moment,
    reply: oneshot::Sender<Result<Arc<Snapshot>, Failure>>,
}

impl Pending {
    fn succeed(self) {
        self.succeed_with_age(Duration::ZERO);
    }

    /// Answers with a snapshot that already had this age when the read was sent.
    fn succeed_with_age(self, age: Duration) {
        let requested_at = self.sent_at.earlier_by(age);
        self.reply.send(Ok(snapshot(requested_at))).unwrap();
    }

    fn fail(self, failure: Failure) {
        self.reply.send(Err(failure)).unwrap();
    }
}

/// One balance of a cache, and the provider behind it.
struct Balance {
    cache: BalanceCache,
    key: BalanceKey,
    limits: Limits,
    sent: Arc<AtomicUsize>,
    outbox: mpsc::UnboundedSender<Pending>,
    inbox: mpsc::UnboundedReceiver<Pending>,
}

impl Balance {
    fn new() -> Self {
        let (outbox, inbox) = mpsc::unbounded_channel();
        let limits =
            Limits { fresh_for: FreshFor::new(FRESH_FOR).unwrap(), max_age: MaxAge::new(MAX_AGE).unwrap() };
        Self {
            cache: BalanceCache::new(now),
            key: BalanceKey::new(&AccountName::parse("a").unwrap(), &[], &Selector::default()),
            limits,
            sent: Arc::default(),
            outbox,
            inbox,
        }
    }

    /// A balance with a snapshot that was read just now.
    async fn known() -> Self {
        let mut balance = Self::new();
        let caller = balance.ask(NONE);
        balance.next_read().await.succeed();
        got(caller).await.result.unwrap();
        balance
    }

    /// A balance whose read failed just now.
    async fn failed(failure: Failure) -> Self {
        let mut balance = Self::new();
        let caller = balance.ask(NONE);
        balance.next_read().await.fail(failure);
        assert_eq!(got(caller).await.result.unwrap_err(), failure);
        balance
    }

    fn question(&self, directives: Directives) -> Question {
        Question { key: self.key, demand: directives.demand(now(), self.limits), limits: self.limits }
    }

    fn read(&self) -> impl Fn(ReadRequest) -> BoxFuture<'static, Answer> + Clone + Send + 'static {
        let (sent, outbox) = (Arc::clone(&self.sent), self.outbox.clone());
        move |ReadRequest { priority, .. }| {
            let (reply, answer) = oneshot::channel();
            let sent_at = now();
            sent.fetch_add(1, Ordering::Relaxed);
            outbox.send(Pending { priority, sent_at, reply }).unwrap();
            Box::pin(async move {
                let result = answer.await.expect("the read panics");
                let sent_at = sent_at.monotonic;
                Answer { priority, sent_at, turn: None, is_from_other_replica: false, result }
            })
        }
    }

    /// A caller that arrives now and waits for a read.
    fn ask(&self, directives: Directives) -> JoinHandle<Read> {
        let question = self.question(directives);
        let priority = question.demand.priority();
        let (cache, read) = (self.cache.clone(), self.read());
        tokio::spawn(async move { cache.read(&question, priority, read).await })
    }

    fn ask_all(&self, directives: Directives, callers: usize) -> Vec<JoinHandle<Read>> {
        (0..callers).map(|_| self.ask(directives)).collect()
    }

    async fn next_read(&mut self) -> Pending {
        settle().await;
        self.inbox.try_recv().expect("a read was sent")
    }

    async fn peek(&self, directives: Directives) -> Peek {
        self.cache.peek(&self.question(directives)).await
    }

    async fn refresh_behind(&self) {
        self.cache.refresh_behind(&self.question(NONE), self.read()).await;
        settle().await;
    }

    async fn fallback(&self, directives: Directives) -> Option<Moment> {
        self.cache.fallback(&self.question(directives)).await.map(|snapshot| snapshot.requested_at())
    }

    async fn stored_at(&self) -> Option<Moment> {
        self.cache.stored(&self.key).await.map(|snapshot| snapshot.requested_at())
    }

    fn invalidate(&self) -> Moment {
        self.cache.invalidate(&[self.key])
    }

    /// The number of reads sent so far, after all tasks have settled.
    async fn sent(&self) -> usize {
        settle().await;
        self.sent.load(Ordering::Relaxed)
    }
}

/// The result of a caller that must have been answered.
async fn got<T>(caller: JoinHandle<T>) -> T {
    settle().await;
    assert!(caller.is_finished(), "the caller still waits");
    caller.await.unwrap()
}

async fn requested_at(caller: JoinHandle<Read>) -> Moment {
    got(caller).await.result.unwrap().requested_at()
}

async fn failure(caller: JoinHandle<Read>) -> Failure {
    got(caller).await.result.unwrap_err()
}
