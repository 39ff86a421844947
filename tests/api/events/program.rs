//! Open streams of the real program: reloads, revoked keys, SIGTERM, and a reader that stops.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::reader::{Event, Events};
use crate::harness::{KEY, digest, eventually, value_of};
use crate::process::{Gateway, Site};

const OTHER_KEY: &str = "bgk_test-key-that-comes-with-a-reload-0123456789";
const BALANCE: &str = "/v1/accounts/treasury/balance";

async fn open(gateway: &Gateway) -> Events {
    let request = gateway.client.get(format!("http://{}/v1/events", gateway.api)).bearer_auth(gateway.key);
    let mut events = Events::of(request.send().await.unwrap()).begin().await;
    events.balance().await;
    events
}

/// Sets this amount at the provider, and makes the gateway read it.
async fn change(site: &Site, gateway: &Gateway, amount: &str) {
    site.provider.set_field("BRL", None, "netBalance", amount);
    let reply = gateway.get_with(BALANCE, &[("cache-control", "no-cache")]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn reload(gateway: &Gateway, site: &Site, from: &str, to: &str) {
    let before = gateway.lines_of("config_reloaded").len();
    site.rewrite(from, to);
    gateway.signal("HUP");
    eventually("the reload is logged", async || gateway.lines_of("config_reloaded").len() > before).await;
}

async fn open_streams(gateway: &Gateway) -> u64 {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    value_of(&page, "balance_gateway_event_streams{caller=\"all\"}").unwrap().to_string().parse().unwrap()
}

/// Reads events until `bye`, and asserts that the stream then ends completely.
async fn assert_says_goodbye(events: &mut Events) {
    loop {
        match events.next().await {
            Event::Named(name, data) if name == "bye" => {
                assert_eq!(data, json!({}));
                break;
            }
            Event::Named(..) => {}
            other => panic!("no goodbye: {other:?}"),
        }
    }
    assert_eq!(events.next().await, Event::End { is_whole: true });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_ends_a_stream_only_if_it_changes_what_the_caller_may_read() {
    let site = Site::new("").await;
    let gateway = site.serve().await;
    let mut events = open(&gateway).await;
    let other = format!(
        "[callers.other]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n[callers.all]",
        digest(OTHER_KEY)
    );

    reload(&gateway, &site, "[callers.all]", &other).await;
    change(&site, &gateway, "7.01").await;

    assert_eq!(events.balance().await["available"], "7.01", "the stream goes on");

    reload(&gateway, &site, "accounts = [\"*\"]\nlimit", "accounts = [\"none-*\"]\nlimit").await;

    assert_says_goodbye(&mut events).await;
    eventually("the place is free", async || open_streams(&gateway).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_ends_its_stream_within_ten_seconds() {
    let site = Site::new("").await;
    let gateway = site.serve().await;
    let mut events = open(&gateway).await;
    let revoked = Instant::now();

    reload(&gateway, &site, &digest(KEY), &digest(OTHER_KEY)).await;

    assert_says_goodbye(&mut events).await;
    assert!(revoked.elapsed() < Duration::from_secs(10), "{:?}", revoked.elapsed());
    let refused = gateway.get(&gateway.api, "/v1/events").await.unwrap();
    assert_eq!(refused.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sigterm_streams_say_goodbye_and_the_program_exits_within_the_drain() {
    let site = Site::new("drain_delay = \"2s\"").await;
    let mut gateway = site.serve().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(open(&gateway).await);
    }
    let told = Instant::now();

    gateway.signal("TERM");

    for stream in &mut streams {
        assert_says_goodbye(stream).await;
    }
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.output());
    // No stream is left for `drain_timeout`, which is 20 s.
    assert!(told.elapsed() < Duration::from_secs(12), "{:?}", told.elapsed());
    assert!(gateway.lines_of("connections_cut").is_empty());
}

/// A `curl` that reads a stream, killed on drop.
struct Curl(Child);

impl Curl {
    fn read(gateway: &Gateway) -> Self {
        let mut curl = Command::new("curl");
        curl.args(["-sN", "-H", &format!("Authorization: Bearer {KEY}")]);
        curl.arg(format!("http://{}/v1/events", gateway.api));
        let curl = curl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(curl.expect("curl is installed"))
    }

    fn stop(&self) {
        let sent = Command::new("kill").args(["-STOP", &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_reader_costs_bounded_memory_and_is_cut() {
    let lines = "connect_timeout = \"200ms\"\nattempt_timeout = \"500ms\"\ndeadline = \"700ms\"\n\
                 budget = { requests = 1000000, per = \"1m\" }\nretries = 3";
    let site = Site::with_provider("request_timeout = \"2s\"", lines).await;
    let gateway = site.serve().await;
    let curl = Curl::read(&gateway);
    eventually("the stream is open", async || open_streams(&gateway).await == 1).await;
    change(&site, &gateway, "1.00").await;
    let before = gateway.most_memory();

    curl.stop();
    let end = Instant::now() + Duration::from_mins(2);
    let mut changes = 0;
    // Each event has some six hundred bytes; the buffers of both sockets take the first of them.
    while open_streams(&gateway).await > 0 {
        assert!(Instant::now() < end, "the stream is not cut after {changes} changes");
        for _ in 0..50 {
            changes += 1;
            site.provider.set_field("BRL", None, "netBalance", &format!("{changes}.00"));
            let _ = gateway.get_with(BALANCE, &[("cache-control", "no-cache")]).await;
        }
    }

    let grown = gateway.most_memory().saturating_sub(before);
    println!("{changes} changes, {grown} KiB more");
    assert!(grown < 16 * 1024, "{grown} KiB more after {changes} changes");
}
