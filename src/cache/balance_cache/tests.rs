//! Coalescing, demands, holds and expiry, with a provider that answers when the test says so.
//!
//! The clock stands still until a test moves it. It belongs to the thread, as every task of a test runs on the
//! test's own.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::cache::read::MOST_ROUNDS;
use crate::cache::{Absence, Peek, Read};
use crate::domain::{
    AccountName, Amount, Currency, Directives, FreshFor, Limits, MaxAge, ObservedAt, ProviderName,
    ReadRequest, Reading, Selector, StoreTime, Turn, UpstreamError,
};

const FRESH_FOR: Duration = Duration::from_secs(10);
const MAX_AGE: Duration = Duration::from_mins(1);
/// The age from which on no answer begins.
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

thread_local! {
    static NOW: Cell<Option<Moment>> = const { Cell::new(None) };
}

#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
fn now() -> Moment {
    NOW.get().unwrap_or_else(|| {
        // An hour ahead, so that ages can be taken off on a machine that has just started.
        let start = Moment { monotonic: Instant::now(), wall: Timestamp::now() };
        let start = start.later_by(Duration::from_hours(1));
        NOW.set(Some(start));
        start
    })
}

fn advance(by: Duration) {
    NOW.set(Some(now().later_by(by)));
}

fn step_wall_clock(by: Duration) {
    NOW.set(Some(Moment { wall: now().later_by(by).wall, ..now() }));
}

fn just_under(length: Duration) -> Duration {
    length.checked_sub(TICK).unwrap()
}

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

/// A read that was sent and waits for its answer. Dropped without one, it panics inside the cache's task.
struct Pending {
    priority: Priority,
    sent_at: Moment,
    reply: oneshot::Sender<Result<Arc<Snapshot>, Failure>>,
}

impl Pending {
    fn succeed(self) {
        self.succeed_with_age(Duration::ZERO);
    }

    /// Answers with a snapshot that was that old when the read was sent.
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

    /// With a snapshot that was read just now.
    async fn known() -> Self {
        let mut balance = Self::new();
        let caller = balance.ask(NONE);
        balance.next_read().await.succeed();
        got(caller).await.result.unwrap();
        balance
    }

    /// With a read that failed just now.
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
                Answer { priority, sent_at, turn: None, is_elsewhere: false, result }
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

    /// How many reads were sent so far, when nothing is left to do.
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

#[tokio::test]
async fn many_callers_share_one_read() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 50);

    balance.next_read().await.succeed();

    for caller in callers {
        assert_eq!(requested_at(caller).await, now());
    }
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn only_the_leader_is_not_collapsed() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 5);

    balance.next_read().await.succeed();

    let mut collapsed = 0;
    for caller in callers {
        collapsed += u32::from(got(caller).await.is_collapsed);
    }
    assert_eq!(collapsed, 4);
}

#[tokio::test]
async fn two_balances_do_not_wait_for_each_other() {
    let mut first = Balance::new();
    let mut second = Balance { cache: first.cache.clone(), ..Balance::new() };
    second.key = BalanceKey::new(&AccountName::parse("b").unwrap(), &[], &Selector::default());
    let waiting = first.ask(NONE);
    let stalled = first.next_read().await;

    let caller = second.ask(NONE);
    second.next_read().await.succeed();

    assert_eq!(requested_at(caller).await, now());
    stalled.succeed();
    assert!(got(waiting).await.result.is_ok());
}

#[tokio::test]
async fn a_leader_that_leaves_changes_nothing() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    let waiters = balance.ask_all(NONE, 3);
    settle().await;

    leader.abort();
    settle().await;
    read.succeed();

    for waiter in waiters {
        assert_eq!(requested_at(waiter).await, now());
    }
    assert_eq!(balance.sent().await, 1);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_read_without_waiters_is_stored() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());

    read.succeed();
    settle().await;

    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_forced_read_shares_the_next_read_and_never_the_running_one() {
    let mut balance = Balance::new();
    let before = balance.ask_all(FORCED, 5);
    let first = balance.next_read().await;
    advance(SECOND);
    let during = balance.ask_all(FORCED, 7);
    settle().await;
    let first_sent_at = first.sent_at;

    first.succeed();
    let second = balance.next_read().await;
    let second_sent_at = second.sent_at;
    second.succeed();

    for caller in before {
        assert_eq!(requested_at(caller).await, first_sent_at);
    }
    for caller in during {
        assert_eq!(requested_at(caller).await, second_sent_at);
    }
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_demand_that_the_running_read_satisfies_joins_it() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    advance(SECOND * 3);
    let joining = balance.ask(max_age(3));
    let stricter = balance.ask(max_age(2));
    settle().await;
    let sent_at = read.sent_at;

    read.succeed();

    assert_eq!(requested_at(leader).await, sent_at);
    assert_eq!(requested_at(joining).await, sent_at);
    balance.next_read().await.succeed();
    assert_eq!(requested_at(stricter).await, now());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_forced_read_is_served_to_all_later_callers() {
    let mut balance = Balance::known().await;
    advance(SECOND);

    let forced = balance.ask(FORCED);
    balance.next_read().await.succeed();

    assert_eq!(requested_at(forced).await, now());
    assert_eq!(balance.stored_at().await, Some(now()));
}

#[tokio::test]
async fn an_age_is_judged_at_its_boundary() {
    for (age, expected) in [
        (Duration::ZERO, "fresh"),
        (just_under(FRESH_FOR), "fresh"),
        (FRESH_FOR, "stale"),
        (just_under(LATEST_START), "stale"),
        (LATEST_START, "absent"),
    ] {
        let balance = Balance::known().await;
        advance(age);

        let judged = match balance.peek(NONE).await {
            Peek::Fresh(_) => "fresh",
            Peek::Stale { is_failing: false, .. } => "stale",
            Peek::Stale { is_failing: true, .. } => "failing",
            Peek::Absent { absence: Absence::Stale, held: None } => "absent",
            Peek::Absent { .. } => "absent for another reason",
        };

        assert_eq!(judged, expected, "{age:?}");
    }
}

#[tokio::test]
async fn a_wall_clock_that_steps_forward_ages_a_snapshot() {
    let balance = Balance::known().await;

    step_wall_clock(MAX_AGE);

    assert!(matches!(balance.peek(NONE).await, Peek::Absent { absence: Absence::Stale, .. }));
}

#[tokio::test]
async fn the_absence_says_why() {
    let empty = Balance::new();
    let known = Balance::known().await;
    advance(SECOND);

    let absence = |peek| match peek {
        Peek::Absent { absence, .. } => Some(absence),
        Peek::Fresh(_) | Peek::Stale { .. } => None,
    };

    assert_eq!(absence(empty.peek(NONE).await), Some(Absence::UriMiss));
    assert_eq!(absence(known.peek(FORCED).await), Some(Absence::Request));
    known.invalidate();
    assert_eq!(absence(known.peek(FORCED).await), Some(Absence::Stale));
}

#[tokio::test]
async fn an_acceptable_snapshot_is_shared_without_a_read() {
    let balance = Balance::known().await;
    let known_at = now();
    advance(just_under(LATEST_START));

    let caller = balance.ask(NONE);

    assert_eq!(requested_at(caller).await, known_at);
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_snapshot_at_the_ceiling_is_read_again() {
    let mut balance = Balance::known().await;
    advance(MAX_AGE);

    let caller = balance.ask(NONE);
    balance.next_read().await.succeed();

    assert_eq!(requested_at(caller).await, now());
}

#[tokio::test]
async fn a_stale_snapshot_is_refreshed_once_however_many_ask() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR + TICK);

    for _ in 0..5 {
        assert!(matches!(balance.peek(NONE).await, Peek::Stale { is_failing: false, .. }));
        balance.refresh_behind().await;
    }
    let refresh = balance.next_read().await;
    let priority = refresh.priority;
    refresh.succeed();

    assert_eq!(balance.sent().await, 2);
    assert_eq!(priority, Priority::Background);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_snapshot_exactly_as_old_as_fresh_for_is_refreshed() {
    let balance = Balance::known().await;
    advance(FRESH_FOR);

    assert!(matches!(balance.peek(NONE).await, Peek::Stale { .. }));
    balance.refresh_behind().await;

    assert_eq!(balance.sent().await, 2);
}

/// A read may end between a caller's look at a stale snapshot and the refresh that it begins.
#[tokio::test]
async fn a_late_refresh_does_not_prevent_the_next_one() {
    let balance = Balance::known().await;
    balance.refresh_behind().await;
    assert_eq!(balance.sent().await, 1);

    advance(FRESH_FOR + TICK);
    balance.refresh_behind().await;

    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_fresh_snapshot_is_not_refreshed() {
    let balance = Balance::known().await;
    advance(just_under(FRESH_FOR));

    balance.refresh_behind().await;

    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_caller_joins_the_refresh_that_runs() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR + SECOND);
    balance.refresh_behind().await;
    let refresh = balance.next_read().await;

    let caller = balance.ask(max_age(5));
    settle().await;
    refresh.succeed();

    assert_eq!(requested_at(caller).await, now());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn no_refresh_starts_while_a_failure_defers_it() {
    for is_held in [true, false] {
        let mut balance = Balance::known().await;
        advance(FRESH_FOR + TICK);
        balance.refresh_behind().await;
        let wait = SECOND * 2;
        balance.next_read().await.fail(Failure { is_held, ..held(wait) });
        settle().await;

        advance(just_under(wait));
        assert!(matches!(balance.peek(NONE).await, Peek::Stale { is_failing: true, .. }));
        balance.refresh_behind().await;
        assert_eq!(balance.sent().await, 2, "held: {is_held}");

        advance(TICK);
        balance.refresh_behind().await;
        assert_eq!(balance.sent().await, 3, "held: {is_held}");
    }
}

/// The refresh is asked for when the last entry does not say to wait yet.
#[tokio::test]
async fn a_refresh_overtaken_by_a_failure_waits_for_its_retry_time() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR);
    let forced = balance.ask(FORCED);
    let read = balance.next_read().await;

    read.fail(refused(UpstreamError::Busy));
    balance.refresh_behind().await;

    assert_eq!(failure(forced).await.error, UpstreamError::Busy);
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_failed_read_leaves_the_last_snapshot() {
    let mut balance = Balance::known().await;
    let known_at = now();
    for _ in 0..3 {
        advance(SECOND);
        let caller = balance.ask(FORCED);
        balance.next_read().await.fail(refused(UpstreamError::Timeout));
        assert_eq!(failure(caller).await.error, UpstreamError::Timeout);
    }

    assert_eq!(balance.stored_at().await, Some(known_at));
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_success_after_a_failure_is_no_longer_failing() {
    let mut balance = Balance::failed(held(SECOND)).await;
    advance(SECOND);
    let caller = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert!(got(caller).await.result.is_ok());

    advance(FRESH_FOR);

    assert!(matches!(balance.peek(NONE).await, Peek::Stale { is_failing: false, .. }));
}

#[tokio::test]
async fn a_held_failure_answers_without_a_read_even_a_forced_one() {
    let known = held(SECOND * 5);
    let balance = Balance::failed(known).await;
    advance(just_under(SECOND * 5));

    assert_eq!(failure(balance.ask(NONE)).await, known);
    assert_eq!(failure(balance.ask(FORCED)).await, known);
    assert!(matches!(balance.peek(FORCED).await, Peek::Absent { held: Some(held), .. } if held == known));
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_hold_does_not_keep_an_acceptable_snapshot_back() {
    let mut balance = Balance::known().await;
    advance(SECOND);
    let forced = balance.ask(FORCED);
    balance.next_read().await.fail(held(SECOND * 30));
    assert!(got(forced).await.result.is_err());

    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
    assert!(got(balance.ask(NONE)).await.result.is_ok());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn waiters_of_a_failed_read_share_its_hold() {
    let mut balance = Balance::new();
    let leader = balance.ask(FORCED);
    let read = balance.next_read().await;
    advance(SECOND);
    let next = balance.ask_all(FORCED, 3);
    settle().await;
    let hold = held(SECOND);

    read.fail(hold);

    assert_eq!(failure(leader).await, hold);
    for caller in next {
        assert_eq!(failure(caller).await, hold);
    }
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn the_end_of_a_hold_starts_one_read() {
    let mut balance = Balance::failed(held(SECOND * 5)).await;
    advance(SECOND * 5);

    let callers = balance.ask_all(NONE, 20);
    balance.next_read().await.succeed();

    for caller in callers {
        assert_eq!(requested_at(caller).await, now());
    }
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_failure_that_is_not_held_is_shared_by_its_waiters_only() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 3);
    balance.next_read().await.fail(refused(UpstreamError::Busy));
    for caller in callers {
        assert_eq!(failure(caller).await.error, UpstreamError::Busy);
    }

    let later = balance.ask(NONE);
    balance.next_read().await.succeed();

    assert!(got(later).await.result.is_ok());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn an_older_snapshot_never_replaces_a_younger_one() {
    let mut balance = Balance::known().await;
    let known_at = now();
    advance(SECOND);

    let forced = balance.ask(FORCED);
    balance.next_read().await.succeed_with_age(SECOND * 5);

    assert!(got(forced).await.result.is_err());
    assert_eq!(balance.stored_at().await, Some(known_at));
}

#[tokio::test]
async fn a_snapshot_is_older_by_either_clock() {
    let mut balance = Balance::known().await;
    advance(SECOND);
    step_wall_clock(SECOND * 30);

    let forced = balance.ask(FORCED);
    balance.next_read().await.succeed_with_age(SECOND * 5);

    assert!(got(forced).await.result.is_err());
    assert_eq!(balance.stored_at().await, Some(now().earlier_by(SECOND * 5)));
}

#[tokio::test]
async fn a_wall_clock_that_steps_during_a_read_is_no_age_of_its_answer() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    step_wall_clock(MAX_AGE);
    let joining = balance.ask(NONE);

    read.succeed();
    balance.next_read().await.succeed();

    assert_eq!(requested_at(leader).await, now());
    assert_eq!(requested_at(joining).await, now());
}

#[tokio::test]
async fn an_answer_that_is_too_old_by_its_age_is_invalid_for_its_waiters() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(FORCED, 3);

    balance.next_read().await.succeed_with_age(SECOND * 5);

    for caller in callers {
        let failure = failure(caller).await;
        assert!(matches!(failure.error, UpstreamError::Invalid(error) if error.field == "Age"));
        assert!(!failure.is_held);
    }
    assert_eq!(balance.sent().await, 1);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)), "it is stored for others");
}

#[tokio::test]
async fn an_age_of_exactly_the_ceiling_is_too_old_and_no_loop() {
    let mut balance = Balance::new();
    let caller = balance.ask(NONE);

    balance.next_read().await.succeed_with_age(MAX_AGE);
    settle().await;

    assert_eq!(balance.sent().await, 1);
    assert!(matches!(failure(caller).await.error, UpstreamError::Invalid(_)));
}

#[tokio::test]
async fn a_read_sent_before_an_invalidation_is_not_accepted_after_it() {
    let mut balance = Balance::new();
    let before = balance.ask(NONE);
    let read = balance.next_read().await;
    let sent_at = read.sent_at;
    advance(SECOND);
    let mark = balance.invalidate();
    let after = balance.ask(NONE);
    settle().await;

    read.succeed();

    assert_eq!(requested_at(before).await, sent_at);
    let second = balance.next_read().await;
    assert!(matches!(balance.peek(NONE).await, Peek::Absent { absence: Absence::Stale, .. }));
    second.succeed();
    assert!(requested_at(after).await.monotonic >= mark.monotonic);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn an_invalidation_is_for_one_balance() {
    let known = Balance::known().await;
    let mut other = Balance { cache: known.cache.clone(), ..Balance::new() };
    other.key = BalanceKey::new(&AccountName::parse("b").unwrap(), &[], &Selector::default());
    advance(SECOND);

    other.invalidate();

    assert!(matches!(known.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_refresh_after_an_invalidation_is_from_after_it() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR + SECOND);
    balance.refresh_behind().await;
    let refresh = balance.next_read().await;
    advance(SECOND);
    balance.invalidate();

    refresh.succeed();
    settle().await;

    assert!(matches!(balance.peek(NONE).await, Peek::Absent { absence: Absence::Stale, .. }));
}

#[tokio::test]
async fn only_callers_that_allow_it_get_the_last_snapshot_after_an_error() {
    let within = |seconds| Directives { stale_if_error: Some(SECOND * seconds), ..FORCED };
    let balance = Balance::known().await;
    let known_at = now();
    advance(SECOND * 5);

    assert_eq!(balance.fallback(within(5)).await, Some(known_at));
    assert_eq!(balance.fallback(within(4)).await, None);
    assert_eq!(balance.fallback(FORCED).await, None);
    assert_eq!(balance.fallback(NONE).await, None);
    let not_before = Directives { not_before: Some(now().wall), ..within(600) };
    assert_eq!(balance.fallback(not_before).await, None);
}

#[tokio::test]
async fn an_invalidation_leaves_the_last_snapshot_to_those_without_a_demand() {
    let balance = Balance::known().await;
    let known_at = now();
    advance(SECOND * 5);
    balance.invalidate();

    assert_eq!(balance.fallback(NONE).await, Some(known_at));
    assert_eq!(balance.fallback(FORCED).await, None);
    let not_before = Directives { not_before: Some(now().wall), ..NONE };
    assert_eq!(balance.fallback(not_before).await, None);
    let only_if_cached = Directives { only_if_cached: true, ..NONE };
    assert_eq!(balance.fallback(only_if_cached).await, None);
}

#[tokio::test]
async fn no_caller_gets_a_last_snapshot_that_has_no_time_to_leave() {
    let balance = Balance::known().await;
    advance(SECOND);
    balance.invalidate();
    let patient = Directives { stale_if_error: Some(SECOND * 600), ..FORCED };

    advance(just_under(LATEST_START.saturating_sub(SECOND)));
    assert!(balance.fallback(patient).await.is_some());
    assert!(balance.fallback(NONE).await.is_some());

    advance(TICK);
    assert_eq!(balance.fallback(patient).await, None);
    assert_eq!(balance.fallback(NONE).await, None);
}

#[tokio::test]
async fn a_refusal_at_a_smaller_share_of_the_budget_does_not_apply_to_a_larger_one() {
    let mut balance = Balance::new();
    let plain = balance.ask_all(NONE, 2);
    let refusal = balance.next_read().await;
    let demanded = balance.ask_all(max_age(5), 3);
    settle().await;
    let of_plain = refusal.priority;

    refusal.fail(refused(UpstreamError::BudgetExhausted));
    let second = balance.next_read().await;
    let of_demanded = second.priority;
    second.succeed();

    for caller in plain {
        assert_eq!(failure(caller).await.error, UpstreamError::BudgetExhausted);
    }
    for caller in demanded {
        assert_eq!(requested_at(caller).await, now());
    }
    assert_eq!((of_plain, of_demanded), (Priority::Plain, Priority::Demanded));
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_refusal_of_the_whole_budget_applies_to_all_waiters() {
    let mut balance = Balance::new();
    let demanded = balance.ask(max_age(5));
    let refusal = balance.next_read().await;
    let others = [balance.ask(NONE), balance.ask(max_age(5))];
    settle().await;

    refusal.fail(refused(UpstreamError::BudgetExhausted));

    assert_eq!(failure(demanded).await.error, UpstreamError::BudgetExhausted);
    for caller in others {
        assert_eq!(failure(caller).await.error, UpstreamError::BudgetExhausted);
    }
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_read_that_panics_is_a_defect_for_its_waiters_only() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 3);

    drop(balance.next_read().await);

    for caller in callers {
        assert_eq!(failure(caller).await, Failure::DEFECT);
    }
    assert_eq!(balance.sent().await, 1);
    let later = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert_eq!(requested_at(later).await, now());
}

#[tokio::test]
async fn a_read_that_panics_leaves_the_last_snapshot() {
    let mut balance = Balance::known().await;
    let known_at = now();
    advance(SECOND);
    let forced = balance.ask(FORCED);

    drop(balance.next_read().await);

    assert_eq!(failure(forced).await, Failure::DEFECT);
    assert_eq!(balance.stored_at().await, Some(known_at));
}

#[tokio::test]
async fn reads_that_expire_before_they_are_served_end_in_a_time_out() {
    let mut balance = Balance::new();
    let caller = balance.ask(NONE);

    while balance.sent().await > 0 && !caller.is_finished() {
        let read = balance.next_read().await;
        advance(MAX_AGE);
        read.succeed();
        settle().await;
    }

    assert_eq!(failure(caller).await.error, UpstreamError::Timeout);
    let sent = balance.sent().await;
    assert!((2..=MOST_ROUNDS as usize).contains(&sent), "{sent}");
}

/// What another replica read in this turn, with this instant of the store's clock.
fn found(number: u64, instant: u64, age: Duration) -> Answer {
    let turn = Turn { number, instant: StoreTime::from_micros(instant) };
    let snapshot = Arc::unwrap_or_clone(snapshot(now().earlier_by(age))).with_turn(Some(turn));
    let sent_at = snapshot.requested_at().monotonic;
    let result = Ok(Arc::new(snapshot));
    Answer { priority: Priority::Plain, sent_at, turn: Some(turn), is_elsewhere: true, result }
}

#[test]
fn a_snapshot_found_again_in_the_store_gets_no_younger_and_an_older_one_is_ignored() {
    let now = now();
    let first = Entry::after(None, found(7, 7, SECOND * 50), None, now);

    for (number, age, kept) in [(7, 5, 50), (6, 5, 50), (8, 5, 5)] {
        let next = Entry::after(Some(&first), found(number, number, SECOND * age), None, now);
        assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * kept, "{number}");
    }
}

#[tokio::test]
async fn a_later_read_of_another_replica_that_is_older_by_its_age_counts_only_where_it_is_demanded() {
    let now = now();
    let first = Entry::after(None, found(7, 7, SECOND * 5), None, now);

    let next = Entry::after(Some(&first), found(9, 3, SECOND * 20), None, now);
    assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * 5);
    assert_eq!(next.latest_turn().unwrap().number, 9, "it is not looked up again");

    let limits = Balance::new().question(NONE).limits;
    let demand = NONE.demand(now, limits).with_any_turn();
    let next = Entry::after(Some(&first), found(9, 3, SECOND * 20), Some(&demand), now);
    assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * 20);
}

fn refused_credentials() -> Failure {
    Failure { error: UpstreamError::Refused, ..held(SECOND * 30) }
}

/// Issue 14, item 33: the forgetting is not lost.
#[tokio::test]
async fn a_refusal_that_arrives_after_the_credentials_changed_is_forgotten() {
    let mut balance = Balance::new();
    let caller = balance.ask(NONE);
    let read = balance.next_read().await;

    balance.cache.forget_refusal(&balance.key).await;
    read.fail(refused_credentials());

    assert_eq!(failure(caller).await, refused_credentials(), "it was refused");
    let next = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert!(got(next).await.result.is_ok(), "and the next caller asks again");
}

/// Issue 14, item 33: the read is not lost.
#[tokio::test]
async fn a_read_that_ends_while_a_refusal_is_forgotten_is_kept() {
    let mut balance = Balance::failed(refused_credentials()).await;
    balance.cache.forget_refusal(&balance.key).await;
    let caller = balance.ask(NONE);
    let read = balance.next_read().await;
    let forgetting = {
        let (cache, key) = (balance.cache.clone(), balance.key);
        tokio::spawn(async move { cache.forget_refusal(&key).await })
    };
    read.succeed();

    assert!(got(caller).await.result.is_ok());
    got(forgetting).await;

    assert_eq!(balance.stored_at().await, Some(now()));
    assert_eq!(balance.sent().await, 2);
}

/// Issue 14, item 32: also what a read of the earlier identity brings.
#[tokio::test]
async fn a_removed_balance_is_read_again() {
    let mut balance = Balance::known().await;
    advance(SECOND);

    balance.cache.remove(&[balance.key]).await;

    assert_eq!(balance.stored_at().await, None);
    let caller = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert_eq!(requested_at(caller).await, now());
}
