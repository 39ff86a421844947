//! Clocks that misbehave: a frozen process, and a wall clock that is set forward and back.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind};
use jiff::Timestamp;

use crate::events::reader::Events;
use crate::harness::{Reply, eventually, is_long};
use crate::process::{Gateway, Site, command};

const PATH: &str = "/v1/accounts/treasury/balance";

/// A gateway with this `max_age` in seconds, in front of a provider whose reads may take longer than any freeze here.
async fn site(max_age: u64) -> Site {
    let server = "request_timeout = \"200s\"\ndrain_timeout = \"200s\"";
    let provider =
        format!("max_age = \"{max_age}s\"\nattempt_timeout = \"80s\"\ndeadline = \"90s\"\nretries = 0");
    Site::with_provider(server, &provider).await
}

async fn balance(gateway: &Gateway) -> Reply {
    gateway.get(&gateway.api, PATH).await.unwrap()
}

/// Stops the process for this duration.
async fn freeze(gateway: &Gateway, length: Duration) {
    gateway.signal("STOP");
    let end = Instant::now() + length;
    tokio::time::sleep_until(end.into()).await;
    gateway.signal("CONT");
}

/// The long run freezes 70 s with a ceiling of 60 s; the usual run 3 s with 2 s.
fn ceiling_and_freeze() -> (u64, Duration) {
    if is_long() { (60, Duration::from_secs(70)) } else { (2, Duration::from_secs(3)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_freeze_no_older_balance_is_served() {
    let (max_age, length) = ceiling_and_freeze();
    let site = site(max_age).await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;

    freeze(&gateway, length).await;
    let after = balance(&gateway).await;

    assert_eq!((before.status, after.status), (200, 200));
    assert_ne!(before.body, after.body);
    assert_eq!(after.header("cache-status"), "balance-gateway; fwd=stale; fwd-status=200; stored");
    assert_eq!(after.header("age"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_received_during_a_freeze_is_read_again() {
    let (max_age, length) = ceiling_and_freeze();
    let site = site(max_age).await;
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_balance(FaultKind::Delay { ms: 500 }));
    let asking = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let asking = tokio::spawn(async move { Reply::read(asking.send().await.unwrap()).await });
    site.provider.wait_for_calls(2).await;

    // The provider answers after half a second, while the gateway is frozen.
    freeze(&gateway, length).await;
    let reply = asking.await.unwrap();

    assert_eq!((reply.status, reply.header("age")), (200, "1"), "{reply:?}");
    assert_eq!(site.provider.calls().len(), 3, "a token call, the read that expired, and the next read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_written_of_a_balance_that_expired_during_a_freeze() {
    let (max_age, length) = ceiling_and_freeze();
    let site = site(max_age).await;
    let gateway = site.serve().await;
    let following = gateway.client.get(format!("http://{}/v1/events", gateway.api)).bearer_auth(gateway.key);
    let mut events = Events::of(following.send().await.unwrap()).begin().await;
    events.balance().await;
    site.provider.queue(Fault::on_balance(FaultKind::Delay { ms: 500 }));
    let asking = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let asking = asking.header("cache-control", "no-cache");
    let asking = tokio::spawn(async move { asking.send().await.unwrap().status() });
    site.provider.wait_for_calls(3).await;

    // The provider answers after half a second, while the gateway is frozen.
    freeze(&gateway, length).await;
    let event = events.balance().await;

    let fetched_at: Timestamp = event["fetched_at"].as_str().unwrap().parse().unwrap();
    let age = Timestamp::now().duration_since(fetched_at);
    assert!(age.as_secs_f64() < Duration::from_secs(max_age).as_secs_f64(), "{age} old: {event}");
    assert_eq!(asking.await.unwrap(), 200);
}

/// The file name of the shared object that gives a process another wall clock.
const FAKETIME: &str = "libfaketime.so.1";

/// A gateway that reads its wall clock's offset from a file.
async fn with_stepped_clock(site: &Site) -> Gateway {
    site.folder.write("offset", "+0");
    let mut serve = command(&["serve", "--config", &site.config]);
    let library = faketime();
    serve
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", site.folder.0.join("offset"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Gateway::run(serve).await
}

pub(crate) fn faketime() -> std::path::PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|folder| folder.unwrap().path());
    let mut libraries = folders.map(|folder| folder.join("faketime").join(FAKETIME));
    libraries.find(|library| library.exists()).expect("the Debian package libfaketime is installed")
}

fn fetched_at(reply: &Reply) -> jiff::Timestamp {
    reply.json()["fetched_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_set_forward_ages_cached_balances() {
    let site = site(60).await;
    let gateway = with_stepped_clock(&site).await;
    let before = balance(&gateway).await;

    site.folder.write("offset", "+30");
    let older = balance(&gateway).await;
    site.folder.write("offset", "+61");
    let after = balance(&gateway).await;

    assert_eq!(older.body, before.body);
    let age: u64 = older.header("age").parse().unwrap();
    assert!((31..=33).contains(&age), "{older:?}");
    // The balance from the background refresh was requested at +30 s; it is 31 s older now.
    assert!(after.header("age").parse::<u64>().unwrap() <= 33, "{after:?}");
    assert_ne!(after.body, before.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_set_back_makes_no_balance_younger() {
    let site = site(2).await;
    let gateway = with_stepped_clock(&site).await;
    let before = balance(&gateway).await;
    let stored = Instant::now();

    site.folder.write("offset", "-3600");
    let soon = balance(&gateway).await;
    eventually("the balance is read again", || async {
        let is_new = balance(&gateway).await.body != before.body;
        assert!(is_new || stored.elapsed() < Duration::from_secs(3), "served over the ceiling");
        is_new
    })
    .await;
    let after = balance(&gateway).await;

    assert_eq!(soon.status, 200);
    // The balance read under the old clock is an hour ahead of the new one.
    assert!(fetched_at(&before).duration_since(fetched_at(&after)).as_secs() > 3500, "{before:?} {after:?}");
    assert!(after.header("age").parse::<u64>().unwrap() <= 2, "{after:?}");
}
