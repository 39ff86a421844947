//! `GET /v1/events`: the first events of a stream, the later ones, its cost, and its end.

mod clients;
mod crowd;
mod program;
pub(crate) mod reader;

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use serde_json::json;

use crate::harness::{Harness, KEY, SWITCHED_OFF, Setup, digest, eventually};
use reader::{Event, Events};

const KIND: Kind = Kind::NtxpayBr;
const ONE: &str = "?account=ntxpay-br-demo";
const OTHER_KEY: &str = "bgk_test-key-of-a-caller-with-a-narrow-view-of-it";

fn set(gateway: &Harness, amount: &str) {
    gateway.provider(KIND).set_field("BRL", None, "netBalance", amount);
}

async fn open_streams(gateway: &Harness) -> Option<f64> {
    gateway.metric("event_streams{caller=\"all\"}").await
}

#[tokio::test]
async fn a_stream_begins_with_the_current_state_and_sends_each_change() {
    let gateway = Harness::usual().await;
    let stored = gateway.balance(KIND).await.json();

    let mut events = Events::open(&gateway, ONE).await;

    let head = events.response.headers().clone();
    assert_eq!(head["content-type"], "text/event-stream");
    assert_eq!(head["cache-control"], "no-store");
    assert_eq!(head["x-accel-buffering"], "no");
    assert!(head.contains_key("ratelimit") && head.contains_key("x-request-id"));
    events = events.begin().await;
    let first = events.balance().await;
    let report =
        gateway.get_with("/v1/reconciliation?account=ntxpay-br-demo", &[("cache-control", "max-age=60")]);
    assert_eq!(first, report.await.json()["balances"][0], "as in the reconciliation report");
    assert_eq!(first["fetched_at"], stored["fetched_at"], "a cached balance arrives at once");

    set(&gateway, "7.01");
    gateway.new_balance(KIND).await;

    assert_eq!(events.balance().await["available"], "7.01");
    assert_eq!(open_streams(&gateway).await, Some(1.0));
    drop(events);
    eventually("the place is free", || async { open_streams(&gateway).await == Some(0.0) }).await;
    assert_eq!(gateway.count("events_sent_total{caller=\"all\"}").await, 2);
}

#[tokio::test]
async fn a_stream_has_every_balance_of_the_caller_and_the_filters_of_balances() {
    let gateway = Harness::usual().await;
    let listed = gateway.get("/v1/balances?provider=pluggo").await.json();

    let mut events = Events::open(&gateway, "?provider=pluggo&account=nowhere").await.begin().await;

    let unknown = events.problem().await;
    assert_eq!((&unknown["account"], &unknown["currency"]), (&json!("nowhere"), &json!(null)));
    assert_eq!(unknown["problem"]["code"], "account_not_found");
    let mut events = Events::open(&gateway, "?provider=pluggo").await.begin().await;
    let mut currencies = Vec::new();
    for _ in 0..3 {
        currencies.push(events.balance().await["currency"].as_str().unwrap().to_owned());
    }
    currencies.sort();
    assert_eq!(currencies, ["BRL", "BTC", "USD"]);
    assert_eq!(listed["balances"].as_array().unwrap().len(), 3);
    let mut events = Events::open(&gateway, "").await.begin().await;
    for _ in 0..6 {
        events.balance().await;
    }
}

#[tokio::test]
async fn a_failed_read_is_a_problem_once_per_code_and_a_success_a_balance() {
    let setup = Setup { further: SWITCHED_OFF.to_owned(), ..Setup::default() };
    let gateway = Harness::start(Setup { provider: "retries = 0".to_owned(), ..setup }).await;
    let mut off = Events::open(&gateway, "?account=off-itself").await.begin().await;
    assert_eq!(off.problem().await["problem"]["code"], "disabled");
    let mut events = Events::open(&gateway, ONE).await.begin().await;
    events.balance().await;

    gateway
        .provider(KIND)
        .queue(Fault::on_balance(FaultKind::Status { status: 500, retry_after: None, body: None }).times(2));
    let refused = gateway.new_balance(KIND).await;

    assert_eq!(refused.status, 502);
    let problem = events.problem().await;
    assert_eq!((&problem["account"], &problem["currency"]), (&json!("ntxpay-br-demo"), &json!("BRL")));
    assert_eq!(problem["problem"]["code"], "provider_error");
    assert_eq!(problem["problem"]["request_id"], events.response.headers()["x-request-id"].to_str().unwrap());
    // The second failure has the same code; then a read succeeds.
    set(&gateway, "9.00");
    eventually("a read succeeds", || async { gateway.new_balance(KIND).await.status == 200 }).await;
    assert_eq!(events.balance().await["available"], "9.00");
}

#[tokio::test]
async fn a_cached_balance_does_not_wait_for_a_slow_read() {
    let gateway = Harness::usual().await;
    gateway.balance(KIND).await;
    gateway.provider(Kind::Avista).queue(Fault::on_balance(FaultKind::Delay { ms: 600_000 }));

    let path = "?account=avista-demo&account=ntxpay-br-demo";
    let mut events = Events::open(&gateway, path).await.begin().await;

    assert_eq!(events.balance().await["account"], "ntxpay-br-demo");
}

#[tokio::test]
async fn streams_keep_a_balance_young_with_no_more_calls_than_one() {
    let lines = "fresh_for = \"1s\"\n".to_owned();
    let gateway = Harness::start(Setup { provider: lines, ..Setup::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Events::open(&gateway, &format!("{ONE}&refresh=1")).await.begin().await);
    }
    let began = Instant::now();
    let mut seen = std::collections::BTreeSet::new();
    let mut last = jiff::Timestamp::UNIX_EPOCH;

    while seen.len() < 5 {
        let fetched_at = streams[0].balance().await["fetched_at"].as_str().unwrap().to_owned();
        let fetched: jiff::Timestamp = fetched_at.parse().unwrap();
        assert!(fetched > last, "each balance is newer than the last");
        (last, _) = (fetched, seen.insert(fetched_at));
    }

    assert!(began.elapsed() >= Duration::from_secs(3), "reads are not more frequent than `refresh`");
    let calls = gateway.calls(KIND, Operation::Balance).len();
    assert!((5..=7).contains(&calls), "{calls}");
    // The other streams saw the same.
    for mut stream in streams.drain(1..) {
        assert_eq!(stream.balance().await["fetched_at"], *seen.first().unwrap());
    }
    let forced = gateway.count("forced_reads_total{caller=\"all\"}").await;
    assert_eq!(forced, 0, "a stream costs nothing after it has opened");
}

#[tokio::test]
async fn a_head_request_opens_no_stream_and_calls_no_provider() {
    let gateway = Harness::start(Setup { caller: "streams = 1".to_owned(), ..Setup::default() }).await;
    let _open = Events::open(&gateway, ONE).await;

    let head = gateway.send("HEAD", "/v1/events?account=pluggo-demo", Some(KEY), &[]).await;

    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert!(head.headers.get("content-length").is_none(), "{head:?}");
    assert_eq!(gateway.calls(Kind::Pluggo, Operation::Balance).len(), 0);
    assert_eq!(open_streams(&gateway).await, Some(1.0));
    gateway.send("HEAD", "/v1/events?refresh=x", Some(KEY), &[]).await;
}

#[tokio::test]
async fn streams_beyond_the_callers_limit_are_refused_and_a_stream_is_charged_as_a_batch() {
    let lines = "streams = 2\nlimit = { requests = 1, per = \"1h\", burst = 20 }".to_owned();
    let gateway = Harness::start(Setup { caller: lines, ..Setup::default() }).await;
    let (first, _second) = (Events::open(&gateway, "").await, Events::open(&gateway, ONE).await);

    let refused = gateway.get("/v1/events").await;

    refused.assert_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    let left =
        |header: &str| header.split("\"caller\";r=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(left(first.response.headers()["ratelimit"].to_str().unwrap()), "14", "six balances");
    drop(first);
    eventually("a place is free", || async { open_streams(&gateway).await == Some(1.0) }).await;
    Events::open(&gateway, ONE).await;
}

#[tokio::test]
async fn an_unsupported_stream_request_is_refused() {
    let gateway = Harness::usual().await;

    for query in [
        "refresh=x",
        "refresh=",
        "refresh=1.5",
        "refresh=-1",
        "refresh=5&refresh=5",
        "not_before=2026-01-01T00:00:00Z",
        "provider=a&provider=b",
        "x=1",
    ] {
        let refused = gateway.get(&format!("/v1/events?{query}")).await;
        refused.assert_problem(400, "invalid_request");
    }
    gateway.send("POST", "/v1/events", Some(KEY), &[]).await.assert_problem(405, "method_not_allowed");
    gateway.send("GET", "/v1/events", None, &[]).await.assert_problem(401, "unauthenticated");
    assert_eq!(open_streams(&gateway).await, Some(0.0));
}

#[tokio::test]
async fn cache_control_and_last_event_id_demand_nothing() {
    let gateway = Harness::usual().await;
    gateway.balance(KIND).await;
    let request = gateway.request("GET", &format!("/v1/events{ONE}"), Some(KEY));

    let request = request.header("cache-control", "no-cache").header("last-event-id", "7");
    let mut events = Events::of(request.send().await.unwrap()).begin().await;

    events.balance().await;
    assert_eq!(gateway.calls(KIND, Operation::Balance).len(), 1);
}

#[tokio::test]
async fn a_stream_says_goodbye_at_the_connections_age_and_the_connection_closes() {
    let gateway =
        Harness::start(Setup { server: "max_connection_age = \"1s\"".to_owned(), ..Setup::default() }).await;
    let began = Instant::now();
    let mut events = Events::open(&gateway, ONE).await.begin().await;
    events.balance().await;

    assert_eq!(events.next().await, Event::Named("bye".to_owned(), json!({})));

    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(events.next().await, Event::End { is_whole: true });
}

#[tokio::test]
async fn in_a_drain_goodbyes_are_spread_over_its_delay() {
    let mut gateway =
        Harness::start(Setup { server: "drain_delay = \"2s\"".to_owned(), ..Setup::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(Events::open(&gateway, ONE).await.begin().await);
    }
    let began = Instant::now();

    gateway.begin_shutdown();

    // Read concurrently: any of the streams may be the first to end.
    let goodbyes = streams.into_iter().map(|mut stream| async move {
        while stream.next().await != Event::Named("bye".to_owned(), json!({})) {}
        let left = began.elapsed();
        assert_eq!(stream.next().await, Event::End { is_whole: true });
        left
    });
    let mut left = futures_util::future::join_all(goodbyes).await;
    left.sort();
    assert!(left[0] < Duration::from_secs(1) + Duration::from_millis(900), "{left:?}");
    assert!(left[3] >= Duration::from_millis(1900), "{left:?}");
    gateway.ended().await;
}

#[tokio::test]
async fn a_stream_has_only_the_balances_that_its_caller_may_read() {
    let narrow =
        format!("[callers.narrow]\nkeys_sha256 = [\"{}\"]\naccounts = [\"pluggo-*\"]\n", digest(OTHER_KEY));
    let gateway = Harness::start(Setup { further: narrow, ..Setup::default() }).await;

    let mut events = Events::open_with(&gateway, ONE, OTHER_KEY).await.begin().await;

    let problem = events.problem().await;
    assert_eq!(problem["problem"]["code"], "account_not_found");
    assert!(problem["problem"].get("provider").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_cut_at_the_request_timeout_and_a_silent_stream_is_not() {
    // Two reads must fit into `request_timeout`.
    let gateway = Harness::start(Setup {
        server: "request_timeout = \"2s\"".to_owned(),
        provider: "connect_timeout = \"200ms\"\nattempt_timeout = \"500ms\"\ndeadline = \"700ms\"".to_owned(),
        ..Setup::default()
    })
    .await;
    let mut silent = Events::open(&gateway, ONE).await.begin().await;
    silent.balance().await;
    let stream = tokio::net::TcpStream::connect(gateway.api).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) =
        builder.initial_window_size(0).handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/v1/events{ONE}", gateway.api))
        .header("authorization", format!("Bearer {KEY}"))
        .body(())
        .unwrap();
    let asked = Instant::now();

    let answer = client.ready().await.unwrap().send_request(request, true).unwrap().0.await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(15), answer.into_body().data()).await;

    let reset = ended.expect("the stream is cut").unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    assert!(asked.elapsed() >= Duration::from_secs(2));
    eventually("the place is free", || async { open_streams(&gateway).await == Some(1.0) }).await;
    set(&gateway, "7.01");
    gateway.new_balance(KIND).await;
    assert_eq!(silent.balance().await["available"], "7.01");
}
