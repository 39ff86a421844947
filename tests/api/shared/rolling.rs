//! A roll-out under load: replicas are replaced one after the other, and the provider sees no more calls.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};

use super::processes::SharedSite;
use crate::harness::{eventually, is_long};
use crate::process::Gateway;

const PATH: &str = "/v1/accounts/treasury/balance";
const CALLERS: u32 = 20;

/// The replicas that take requests now.
type InService = Arc<Mutex<Vec<Arc<Gateway>>>>;

/// One caller: asks the replicas in turn until the end. Returns how many answers it got, and how many lack a balance.
async fn ask(in_service: InService, first: usize, per_second: u32, end: Instant) -> (usize, usize) {
    let mut ticks = interval(Duration::from_secs(1) * CALLERS / per_second);
    let (mut answers, mut failed, mut turn) = (0, 0, first);
    while Instant::now() < end {
        ticks.tick().await;
        let gateway = {
            let replicas = in_service.lock().unwrap();
            Arc::clone(&replicas[turn % replicas.len()])
        };
        turn += 1;
        let reply = gateway.get(&gateway.api, PATH).await;
        answers += 1;
        failed += usize::from(reply.map_or(0, |reply| reply.status) != 200);
    }
    (answers, failed)
}

/// Replaces the longest-running replica: the new one shares before the old one is drained.
async fn roll(shared_site: &SharedSite, in_service: &InService) {
    let new = Arc::new(shared_site.replica(0).await);
    let old = {
        let mut replicas = in_service.lock().unwrap();
        replicas.push(new);
        replicas.remove(0)
    };
    eventually("no caller uses the old replica", || async { Arc::strong_count(&old) == 1 }).await;
    old.signal("TERM");
    let mut old = Arc::into_inner(old).unwrap();
    assert!(old.ended().await.success());
}

/// Sends requests to this many replicas for this long. Returns the number of calls to the provider and of requests.
async fn play(
    count: usize,
    per_second: u32,
    length: Duration,
    roll_every: Option<Duration>,
) -> (usize, usize) {
    let lines = if is_long() { "" } else { "fresh_for = \"2s\"\nmax_age = \"10s\"" };
    let shared_site = SharedSite::new(count, lines).await;
    let mut replicas = Vec::new();
    for _ in 0..count {
        replicas.push(Arc::new(shared_site.replica(0).await));
    }
    let (in_service, begun): (InService, _) = (Arc::new(Mutex::new(replicas)), Instant::now());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(ask(Arc::clone(&in_service), caller as usize, per_second, begun + length));
    }
    let mut next = roll_every.map(|every| begun + every);
    while let Some(at) = next.filter(|at| *at < begun + length) {
        sleep_until(at.into()).await;
        roll(&shared_site, &in_service).await;
        next = roll_every.map(|every| at + every);
    }

    let answers = callers.join_all().await;

    let (requests, failed) = answers.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert_eq!(failed, 0, "of {requests} requests");
    (shared_site.reads().len(), requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolled_replica_costs_the_provider_no_calls() {
    let (per_second, seconds, every) = if is_long() { (1000, 300, 30) } else { (100, 7, 3) };
    let length = Duration::from_secs(seconds);

    let (alone, _) = play(1, per_second, length, None).await;
    let (rolled, requests) = play(5, per_second, length, Some(Duration::from_secs(every))).await;

    println!("{requests} requests in {length:?}; calls of one replica: {alone}, of five rolled: {rolled}");
    assert!(rolled <= alone + 2, "{rolled} calls, one replica makes {alone}");
}
