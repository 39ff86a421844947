//! Replicas as separate processes: how many calls they make together, clocks that differ, and one that dies in a read.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Call, Fault, FaultKind, Operation};
use tokio::task::JoinSet;

use super::fleet::KEY;
use super::redis::RedisServer;
use crate::clocks::faketime;
use crate::harness::{Reply, eventually, is_long};
use crate::process::{Gateway, Site, command};

const PATH: &str = "/v1/accounts/treasury/balance";

/// A provider, a store, and the configuration of replicas that share it.
pub(super) struct SharedSite {
    pub(super) site: Site,
    pub(super) store: RedisServer,
}

impl SharedSite {
    pub(super) async fn new(replicas: usize, provider_lines: &str) -> Self {
        let store = RedisServer::start().await;
        let site = Site::with_provider(&format!("replicas = {replicas}"), provider_lines).await;
        let key = site.folder.write("shared-key", KEY);
        let config = fs::read_to_string(&site.config).unwrap();
        let section = format!(
            "[shared]\nurl = \"{}\"\nkey = {{ file = \"{key}\" }}\ntimeout = \"500ms\"\n",
            store.url()
        );
        site.folder.write("gateway.toml", &format!("{config}{section}"));
        Self { site, store }
    }

    /// Starts a replica whose wall clock is off by this many seconds, and waits until it shares.
    pub(super) async fn replica(&self, seconds: i64) -> Gateway {
        let mut serve = command(&["serve", "--config", &self.site.config]);
        if seconds != 0 {
            serve
                .env("LD_PRELOAD", faketime())
                .env("FAKETIME", format!("{seconds:+}"))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let gateway = Gateway::run(serve).await;
        eventually("the replica shares", || async { !gateway.lines_of("shared_joined").is_empty() }).await;
        gateway
    }

    /// Makes the account use the token in this file instead of client credentials.
    pub(super) fn use_token(&self, file: &str) {
        let config = fs::read_to_string(&self.site.config).unwrap();
        let is_credential = |line: &&str| line.starts_with("client_id") || line.starts_with("client_secret");
        let lines: Vec<_> = config.lines().filter(|line| !is_credential(line)).collect();
        let account = "[accounts.treasury]";
        let config =
            lines.join("\n").replace(account, &format!("{account}\ntoken = {{ file = \"{file}\" }}"));
        self.site.folder.write("gateway.toml", &config);
    }

    pub(super) fn reads(&self) -> Vec<Call> {
        let mut calls = self.site.provider.calls();
        calls.retain(|call| call.operation == Operation::Balance);
        calls
    }
}

/// One answer, and when the test received it.
pub(super) struct Seen {
    pub(super) reply: Reply,
    pub(super) read: Instant,
}

/// Sends requests without a demand to these replicas in turn: `per_second` in total, for `length`.
pub(super) async fn load(replicas: &[Arc<Gateway>], per_second: u32, length: Duration) -> Vec<Seen> {
    const CALLERS: u32 = 20;
    let end = Instant::now() + length;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let replicas = replicas.to_vec();
        callers.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) * CALLERS / per_second);
            let (mut seen, mut turn) = (Vec::new(), caller as usize);
            while Instant::now() < end {
                ticks.tick().await;
                let gateway = &replicas[turn % replicas.len()];
                turn += 1;
                let reply = gateway.get(&gateway.api, PATH).await.unwrap();
                seen.push(Seen { reply, read: Instant::now() });
            }
            seen
        });
    }
    callers.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_replicas_call_a_provider_as_often_as_one() {
    let (per_second, seconds, lines) =
        if is_long() { (1000, 120, "") } else { (200, 4, "fresh_for = \"1s\"\nmax_age = \"10s\"") };
    let mut calls = Vec::new();
    for count in [1, 5] {
        let shared_site = SharedSite::new(count, lines).await;
        let mut replicas = Vec::new();
        for _ in 0..count {
            replicas.push(Arc::new(shared_site.replica(0).await));
        }

        let seen = load(&replicas, per_second, Duration::from_secs(seconds)).await;

        assert!(seen.iter().all(|seen| seen.reply.status == 200));
        calls.push(shared_site.reads().len());
    }
    println!("one replica: {} calls, five: {}", calls[0], calls[1]);
    // At most 5 % more, and one more call, because either run may begin one just before its end.
    assert!(calls[1] * 20 <= calls[0] * 21 + 20, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_whose_clocks_differ_serve_nothing_over_the_ceiling() {
    let (max_age, off) = if is_long() { (60, 30) } else { (4, 2) };
    let lines = format!("fresh_for = \"1s\"\nmax_age = \"{max_age}s\"\nretries = 0");
    let shared_site = SharedSite::new(3, &lines).await;
    let mut replicas = Vec::new();
    for seconds in [0, off, -off] {
        replicas.push(Arc::new(shared_site.replica(seconds).await));
    }
    shared_site.site.provider.set_drift(true);
    let young = load(&replicas, 60, Duration::from_secs(3)).await;
    assert!(young.iter().all(|seen| seen.reply.status == 200));

    // From now on every read fails, and the stored balances age.
    shared_site.site.provider.queue(Fault::on_balance(FaultKind::status(500)).times(100_000));
    let old = load(&replicas, 60, Duration::from_secs(max_age + 2)).await;

    let old_end = old.iter().map(|seen| seen.read).max().unwrap();
    let calls = shared_site.reads();
    let ages = young.iter().chain(&old).filter(|seen| seen.reply.status == 200).map(|seen| age(seen, &calls));
    let oldest = ages.max().unwrap();
    println!("the oldest answer was {oldest:?} old by the provider's log");
    assert!(oldest <= Duration::from_secs(max_age) + Duration::from_millis(500), "{oldest:?}");
    assert!(oldest >= Duration::from_secs(max_age) / 2, "no old balance was served: {oldest:?}");
    let ends = old.iter().filter(|seen| seen.read + Duration::from_millis(500) > old_end);
    assert!(ends.map(|seen| seen.reply.status).all(|status| status == 502 || status == 503));
}

/// The age of an answer when the test received it. The provider's log tells when its balance was sent, because each
/// call returns different figures.
pub(super) fn age(seen: &Seen, calls: &[Call]) -> Duration {
    let body = seen.reply.json();
    let figures: Vec<String> = body["reported"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, text)| format!("\"{name}\":{}", text.as_str().unwrap()))
        .collect();
    let brought = |call: &&Call| figures.iter().all(|figure| call.answer.contains(figure.as_str()));
    let call = calls.iter().filter(|call| call.instant <= seen.read).rfind(brought);
    seen.read.duration_since(call.unwrap_or_else(|| panic!("no call brought {body}")).instant)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_dies_while_it_reads_costs_the_others_a_deadline_at_most() {
    let lines = "attempt_timeout = \"1500ms\"\ndeadline = \"2s\"\nretries = 0";
    let shared_site = SharedSite::new(2, lines).await;
    let (dying, other) = (shared_site.replica(0).await, shared_site.replica(0).await);
    shared_site.site.provider.queue(Fault::on_balance(FaultKind::StallHead));
    let url = format!("http://{}{PATH}", dying.api);
    let asking = tokio::spawn(dying.client.get(url).bearer_auth(dying.key).send());
    shared_site.site.provider.wait_for_calls(2).await;

    let begun = Instant::now();
    dying.signal("KILL");
    let reply = other.get(&other.api, PATH).await.unwrap();

    assert!(asking.await.unwrap().is_err());
    assert_eq!(reply.status, 200, "{reply:?}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}: the deadline, and the read after it");
    assert!(took >= Duration::from_secs(2), "{took:?}: it did not wait for the lease");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_reaches_every_process() {
    let shared_site = SharedSite::new(3, "").await;
    let replicas =
        [shared_site.replica(0).await, shared_site.replica(30).await, shared_site.replica(-30).await];
    let mut slowest = Duration::ZERO;
    for round in 1..=20 {
        for replica in &replicas {
            assert_eq!(replica.get(&replica.api, PATH).await.unwrap().status, 200);
        }
        let paid = format!("{round}.00");
        shared_site.site.provider.set_field("BRL", None, "netBalance", &paid);
        let one = &replicas[round % replicas.len()];
        let url = format!("http://{}/v1/accounts/treasury/invalidate", one.api);
        let marked = Reply::read(one.client.post(url).bearer_auth(one.key).send().await.unwrap()).await;
        let not_before = marked.json()["not_before"].as_str().unwrap().to_owned();

        for replica in &replicas {
            let demanding = format!("{PATH}?not_before={not_before}");
            let reply = replica.get(&replica.api, &demanding).await.unwrap();
            assert_eq!(reply.json()["available"], paid, "{reply:?}");
        }
        shared_site.site.provider.set_field("BRL", None, "netBalance", "0.00");
        let url = format!("http://{}/v1/accounts/treasury/invalidate", one.api);
        assert_eq!(one.client.post(url).bearer_auth(one.key).send().await.unwrap().status(), 200);
        let told_again = Instant::now();
        for replica in &replicas {
            eventually("a caller without a demand gets the new balance", || async {
                replica.get(&replica.api, PATH).await.unwrap().json()["available"] == "0.00"
            })
            .await;
        }
        slowest = slowest.max(told_again.elapsed());
    }
    println!("heard and read again by all three within {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_reaches_a_replica_whose_wall_clock_is_hours_off() {
    for hours in [-5, 5] {
        let shared_site = SharedSite::new(2, "").await;
        let (one, off) = (shared_site.replica(0).await, shared_site.replica(hours * 3600).await);
        shared_site.site.provider.set_field("BRL", None, "netBalance", "1.00");
        assert_eq!(off.get(&off.api, PATH).await.unwrap().json()["available"], "1.00");
        shared_site.site.provider.set_field("BRL", None, "netBalance", "2.00");

        let url = format!("http://{}/v1/accounts/treasury/invalidate", one.api);
        assert_eq!(one.client.post(url).bearer_auth(one.key).send().await.unwrap().status(), 200);
        let told = Instant::now();
        eventually("the invalidation arrives", || async {
            off.get(&off.api, PATH).await.unwrap().json()["available"] == "2.00"
        })
        .await;

        // A background refresh would come only after ten seconds.
        assert!(told.elapsed() < Duration::from_secs(5), "{hours} h: {:?}", told.elapsed());
    }
}
