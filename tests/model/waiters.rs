//! Ten thousand callers of one uncached balance in one process: one read, even if the caller that began it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use balance_gateway::cache::BalanceCache;
use balance_gateway::domain::{
    AccountName, Amount, Answer, BalanceKey, Currency, Directives, FreshFor, Limits, MaxAge, Moment,
    ObservedAt, ProviderName, ReadRequest, Reading, Selector, Snapshot,
};
use balance_gateway::gateway::{BalanceSource, Lookup, Refusal, RequestContext};

const WAITERS: usize = 10_000;
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

fn now() -> Moment {
    Moment { monotonic: Instant::now(), wall: Timestamp::now() }
}

/// A provider that answers when the test tells it to, and records when.
#[derive(Clone)]
struct Slow {
    reads: Arc<AtomicUsize>,
    may_answer: Arc<Semaphore>,
    snapshot: Arc<Snapshot>,
}

impl BalanceSource for Slow {
    fn read(&self, request: ReadRequest) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let Self { reads, may_answer, snapshot } = self.clone();
        async move {
            reads.fetch_add(1, Ordering::SeqCst);
            let sent_at = now().monotonic;
            drop(may_answer.acquire().await);
            Answer {
                priority: request.priority,
                sent_at,
                turn: None,
                is_from_other_replica: false,
                result: Ok(snapshot),
            }
        }
    }

    fn note_refused_by_hold(&self) {}
}

fn snapshot() -> Arc<Snapshot> {
    let amount = Amount::parse("1.00", Currency::BRL).unwrap();
    let reading = Reading {
        available: amount,
        blocked: None,
        reserved: None,
        processing: None,
        total: None,
        reported: Vec::new(),
        observed_at: ObservedAt::Undocumented,
    };
    let (account, provider) = (AccountName::parse("a").unwrap(), ProviderName::parse("p").unwrap());
    Arc::new(Snapshot::new(&account, &provider, None, now(), reading))
}

type Waiting = JoinHandle<(Result<Arc<Snapshot>, Refusal>, Instant)>;

fn wait(cache: &BalanceCache, source: &Slow, arrived: &Arc<AtomicUsize>) -> Waiting {
    let (cache, source, arrived) = (cache.clone(), source.clone(), Arc::clone(arrived));
    tokio::spawn(async move {
        let limits =
            Limits { fresh_for: FreshFor::new(Duration::from_secs(10)).unwrap(), max_age: MaxAge::CEILING };
        let account = AccountName::parse("a").unwrap();
        let key = BalanceKey::new(&account, &[], &Selector::of(Currency::BRL));
        let lookup = Lookup { cache: &cache, clock: now, key, limits, source: &source };
        let context = RequestContext {
            arrived: now(),
            directives: Directives::default(),
            deadline: now().monotonic + TEST_TIMEOUT,
        };
        arrived.fetch_add(1, Ordering::SeqCst);
        let found = lookup.find(&context, |_| Ok(())).await;
        (found.map(|found| found.snapshot), now().monotonic)
    })
}

async fn until(condition: impl Fn() -> bool) {
    let end = now().monotonic + TEST_TIMEOUT;
    while !condition() {
        assert!(now().monotonic < end, "in vain");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_waiters_are_one_read_even_when_the_first_leaves() {
    let cache = BalanceCache::new(now);
    let (reads, may_answer) = (Arc::default(), Arc::new(Semaphore::new(0)));
    let source = Slow { reads, may_answer, snapshot: snapshot() };
    let arrived = Arc::default();
    let leader = wait(&cache, &source, &arrived);
    until(|| source.reads.load(Ordering::SeqCst) == 1).await;
    let waiting: Vec<_> = (0..WAITERS).map(|_| wait(&cache, &source, &arrived)).collect();
    until(|| arrived.load(Ordering::SeqCst) == WAITERS + 1).await;

    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let ended = now().monotonic;
    source.may_answer.add_permits(1);
    let mut delays = Vec::with_capacity(WAITERS);
    for waiter in waiting {
        let (found, at) = waiter.await.unwrap();
        assert!(Arc::ptr_eq(&found.unwrap(), &source.snapshot));
        delays.push(at.saturating_duration_since(ended));
    }

    assert_eq!(source.reads.load(Ordering::SeqCst), 1);
    delays.sort_unstable();
    println!(
        "after the read the median waits {:?}, p99 {:?}",
        delays[WAITERS / 2],
        delays[WAITERS * 99 / 100]
    );
}
