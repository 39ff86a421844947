//! How much all replicas admit together under a load far above the limit, and while the store is unavailable.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::fleet::{Fleet, TIMEOUT};
use super::limits::time_to_full;
use crate::harness::{KEY, Setup, eventually, eventually_within, is_long, retry_within};

const PATH: &str = "/v1/accounts/ntxpay-br-demo/balance";
const REPLICAS: usize = 5;
const SECOND: Duration = Duration::from_secs(1);
const RATE: u32 = 40;
/// The local share of each of the five replicas is eight units a second, and four at once.
const LIMIT: &str = "limit = { requests = 40, per = \"1s\", burst = 20 }";
const BURST: f64 = 20.0;
/// In this time, an empty bucket becomes full.
const SPAN: Duration = Duration::from_millis(500);
const ASKED: &str = "shared_request_duration_seconds_count{operation=\"limit\"}";

async fn fleet() -> Fleet {
    Fleet::with(REPLICAS, &Setup { caller: LIMIT.to_owned(), ..Setup::default() }).await
}

/// One answer: when it arrived, how long it took, and its status.
type TimedAnswer = (Instant, Duration, u16);

/// Requests at a steady rate, which does not depend on their answers.
struct Load {
    answers: Arc<Mutex<Vec<TimedAnswer>>>,
    senders: JoinSet<()>,
}

impl Load {
    /// Sends requests to each replica at its rate, in requests per second.
    fn start(fleet: &Fleet, rates: [u32; REPLICAS]) -> Self {
        let mut load = Self { answers: Arc::default(), senders: JoinSet::new() };
        for (replica, rate) in fleet.replicas.iter().zip(rates) {
            let (request, answers) = (replica.request("GET", PATH, Some(KEY)), Arc::clone(&load.answers));
            load.senders.spawn(async move {
                let mut requests = JoinSet::new();
                let mut ticks = interval(SECOND / rate);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                loop {
                    ticks.tick().await;
                    let (request, answers) = (request.try_clone().unwrap(), Arc::clone(&answers));
                    requests.spawn(async move {
                        let sent = Instant::now();
                        let status = request.send().await.unwrap().status().as_u16();
                        answers.lock().unwrap().push((Instant::now(), sent.elapsed(), status));
                    });
                }
            });
        }
        load
    }

    /// Waits until a second's worth of requests was refused, so that the initial burst is used up.
    async fn until_refused(fleet: &Fleet) {
        let series = "rate_limited_total{caller=\"all\",policy=\"caller\"}";
        let enough = fleet.count(series).await + u64::from(RATE);
        eventually("the limit is used up", || async { fleet.count(series).await >= enough }).await;
    }

    /// The number of requests that are sent and admitted within a span from now on.
    async fn admitted_within(&self, span: Duration) -> f64 {
        let from = Instant::now();
        eventually("a request is answered after the span", || async {
            self.answers.lock().unwrap().last().is_some_and(|(at, ..)| *at >= from + span)
        })
        .await;
        let is_counted =
            |(at, took, status): &&TimedAnswer| *status == 200 && *at >= from + *took && *at < from + span;
        let admitted = self.answers.lock().unwrap().iter().filter(is_counted).count();
        f64::from(u32::try_from(admitted).unwrap())
    }

    /// Asserts that all replicas together admit the limit, within a tenth, and never more than a full bucket above it.
    /// On a busy machine, requests come late and units expire; then the next seconds count.
    async fn assert_admits_the_limit(&self, seconds: u32) {
        let limit = f64::from(RATE * seconds);
        let measured = retry_within(30 * SECOND, || async {
            let admitted = self.admitted_within(seconds * SECOND).await;
            assert!(admitted <= limit + BURST, "{admitted} instead of {limit}");
            if (admitted - limit).abs() <= limit / 10.0 { Ok(()) } else { Err(admitted) }
        });
        measured.await.unwrap_or_else(|admitted| panic!("{admitted} instead of {limit}"));
    }

    /// Asserts that every answer is 200 or 429, and that the requests sent in the time-out after this moment did not wait
    /// for the store: half of them took less than that time-out, also on a busy machine.
    fn assert_no_request_waited(&self, from: Instant) {
        let answers = self.answers.lock().unwrap();
        assert!(answers.iter().all(|(_, _, status)| [200, 429].contains(status)));
        let sent = |(at, took, _): &&TimedAnswer| *at >= from + *took && *at < from + *took + TIMEOUT;
        let mut took: Vec<Duration> = answers.iter().filter(sent).map(|(_, took, _)| *took).collect();
        took.sort_unstable();
        let median = took.get(took.len() / 2);
        assert!(median.is_some_and(|median| *median < TIMEOUT), "{median:?} of {}", took.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_together_admit_the_limit() {
    let fleet = fleet().await;
    let load = Load::start(&fleet, [32; REPLICAS]);
    Load::until_refused(&fleet).await;

    let seconds = if is_long() { 10 } else { 4 };
    let from = Instant::now();
    load.assert_admits_the_limit(seconds).await;
    load.assert_no_request_waited(from);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uneven_load_gets_the_whole_limit_too() {
    let fleet = fleet().await;
    let load = Load::start(&fleet, [96, 6, 6, 6, 6]);
    Load::until_refused(&fleet).await;

    let seconds = if is_long() { 10 } else { 4 };
    let from = Instant::now();
    load.assert_admits_the_limit(seconds).await;
    load.assert_no_request_waited(from);
}

/// Waits until the store has charged the units that each replica admitted alone, and has no debt left. The debt is at
/// most one burst.
async fn until_charged(fleet: &Fleet) {
    for replica in &fleet.replicas {
        // The first of them may have been sent before the replica shared again.
        let enough = replica.count(ASKED).await + 2;
        eventually("the replica asks the store", || async { replica.count(ASKED).await >= enough }).await;
    }
    let has_no_debt = || async { time_to_full(&fleet.store) <= SPAN };
    eventually_within(2 * SECOND, "the debt is paid", has_no_debt).await;
}

/// An outage of the store, and its end.
enum Outage {
    Killed,
    Stopped,
}

async fn outage(outage: Outage) {
    let fleet = fleet().await;
    let load = Load::start(&fleet, [60; REPLICAS]);
    Load::until_refused(&fleet).await;

    let outage_began = Instant::now();
    match outage {
        Outage::Killed => fleet.store.kill(),
        Outage::Stopped => fleet.store.signal("STOP"),
    }
    fleet.until_sharing(0.0).await;
    Load::until_refused(&fleet).await;
    load.assert_admits_the_limit(3).await;

    match outage {
        Outage::Killed => fleet.store.restart().await,
        Outage::Stopped => fleet.store.signal("CONT"),
    }
    fleet.until_sharing(1.0).await;
    until_charged(&fleet).await;
    let (began, before) = (Instant::now(), fleet.count(ASKED).await);
    load.assert_admits_the_limit(3).await;
    let asked = fleet.count(ASKED).await - before;
    let per_replica_and_second = asked / (began.elapsed().as_secs() * fleet.replicas.len() as u64);
    assert!((1..=40).contains(&per_replica_and_second), "{per_replica_and_second}");
    load.assert_no_request_waited(outage_began);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_killed_local_shares_apply_and_no_request_waits() {
    outage(Outage::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_stopped_local_shares_apply_and_no_request_waits() {
    outage(Outage::Stopped).await;
}
