//! The answers to callers, and the calls to providers, when a provider fails or is on hold.

use std::fs;
use std::path::Path;
use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, SimulatedProvider};
use serde_json::Value;

use crate::harness::{Harness, Reply, SWITCHED_OFF, Setup};

const KIND: Kind = Kind::NtxpayBr;
const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
const PLUGGO: &str = "/v1/accounts/pluggo-demo/balance";
/// One short attempt, so that what times out does so soon.
const IMPATIENT: &str =
    "retries = 0\nconnect_timeout = \"200ms\"\nattempt_timeout = \"300ms\"\ndeadline = \"1s\"\n";

async fn with_provider(provider: &str) -> Harness {
    Harness::start(Setup { provider: provider.to_owned(), ..Setup::default() }).await
}

async fn with_static_tokens(provider: &str) -> Harness {
    let provider = provider.to_owned();
    Harness::start(Setup { provider, has_static_tokens: true, ..Setup::default() }).await
}

#[track_caller]
fn retry_after(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After: {reply:?}"))
}

async fn errors(gateway: &Harness, kind: Kind, label: &str) -> u64 {
    let series =
        format!("upstream_errors_total{{provider=\"{kind}\",operation=\"balance\",kind=\"{label}\"}}");
    gateway.count(&series).await
}

async fn all_errors(gateway: &Harness, kind: Kind) -> u64 {
    let mut sum = 0;
    for label in ["connect", "throttled", "timeout", "status", "refused", "invalid", "too_large"] {
        sum += errors(gateway, kind, label).await;
    }
    sum
}

fn status(status: u16, retry_after: Option<&str>) -> FaultKind {
    FaultKind::Status { status, retry_after: retry_after.map(str::to_owned), body: None }
}

fn headers(name: &str, value: &str) -> FaultKind {
    FaultKind::Headers { headers: vec![(name.to_owned(), value.to_owned())] }
}

fn body(text: &str) -> FaultKind {
    FaultKind::Body { text: text.to_owned() }
}

/// Every committed fixture that is no balance and no status, as the answer of its provider.
#[tokio::test]
async fn of_two_holds_the_later_end_is_shown() {
    let gateway = with_static_tokens("").await;
    let unreadable = FaultKind::Body { text: "{}".to_owned() };
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(unreadable));
    let of_the_balance = gateway.get(&format!("{PLUGGO}?currency=USD")).await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(status(429, Some("60"))));
    let of_the_account = gateway.get(PLUGGO).await;

    let held = gateway.get(&format!("{PLUGGO}?currency=USD")).await;

    of_the_balance.assert_problem(502, "provider_invalid_response");
    of_the_account.assert_problem(503, "provider_busy");
    held.assert_problem(503, "provider_busy");
    assert!((50..=60).contains(&retry_after(&held)), "{held:?}");
}

#[tokio::test]
async fn every_hostile_fixture_is_a_problem_that_leaves_the_last_snapshot_in_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for kind in Kind::ALL {
        // An account for each fixture, so that the hold of one does not keep the next from being read.
        // Avista speaks the wire format of NTX Pay; its own folder holds only what differs.
        let folder = root.join(if kind == Kind::Avista { "ntxpay-br" } else { kind.as_str() });
        let expected: Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let hostile = expected.as_object().unwrap().iter().filter(|(_, expected)| {
            expected.get("invalid").is_some()
                && expected.get("asked").is_none_or(|asked| asked == &serde_json::json!({}))
        });
        let bodies: Vec<_> = hostile
            .map(|(name, _)| (name, fs::read(folder.join(name)).unwrap()))
            // Fixtures with a placeholder for a long text are tested by tests/contract.rs.
            .filter(|(_, bytes)| !bytes.windows(2).any(|window| window == b"<<"))
            .collect();
        assert!(bodies.len() > 30, "{kind} has {} hostile fixtures", bodies.len());
        let gateway = with_accounts(kind, bodies.len()).await;
        for (index, (name, bytes)) in bodies.iter().enumerate() {
            let path = format!("/v1/accounts/hostile-{index}/balance");
            let before = gateway.get(&path).await;
            gateway.provider(kind).queue(Fault::on_balance(FaultKind::BodyBytes { bytes: bytes.clone() }));

            let failed = gateway.get_with(&path, &[("cache-control", "no-cache")]).await;

            assert_eq!(before.status, 200, "{kind} {name} {before:?}");
            assert_eq!(failed.json()["code"], "provider_invalid_response", "{kind} {name}: {failed:?}");
            assert_eq!(gateway.get(&path).await.body, before.body, "{kind} {name}");
        }
        assert_eq!(errors(&gateway, kind, "invalid").await, bodies.len() as u64);
        assert_eq!(all_errors(&gateway, kind).await, bodies.len() as u64);
    }
}

/// So many further accounts at one provider, named `hostile-0` and so on.
async fn with_accounts(kind: Kind, count: usize) -> Harness {
    let variable = kind.as_str().replace('-', "_").to_uppercase();
    let credentials = if kind == Kind::Pluggo { ["api_key", "session_token"].as_slice() } else { &["token"] };
    let credentials = credentials
        .iter()
        .map(|name| format!("{name} = {{ env = \"{variable}_{}\" }}\n", name.to_uppercase()));
    let credentials = credentials.collect::<Vec<_>>().concat();
    let accounts =
        (0..count).map(|index| format!("[accounts.hostile-{index}]\nprovider = \"{kind}\"\n{credentials}"));
    let further = accounts.collect::<Vec<_>>().concat();
    Harness::start(Setup { further, has_static_tokens: true, ..Setup::default() }).await
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable() {
    let further = r#"
[providers.down]
kind = "ntxpay-br"
base_url = "http://127.0.0.1:1"
[accounts.down]
provider = "down"
token = { env = "NTXPAY_BR_CLIENT_ID" }
"#;
    let gateway = Harness::start(Setup { further: further.to_owned(), ..Setup::default() }).await;

    let reply = gateway.get("/v1/accounts/down/balance").await;

    reply.assert_problem(502, "provider_unreachable");
    let series = "upstream_errors_total{provider=\"down\",operation=\"balance\",kind=\"connect\"}";
    assert_eq!(gateway.count(series).await, 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let gateway = with_static_tokens("retries = 0\n").await;
    let elsewhere = SimulatedProvider::start(KIND).await.unwrap();
    let location = format!("{}/api/balance", elsewhere.url());
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Redirect { location }));

    let reply = gateway.balance(KIND).await;

    reply.assert_problem(502, "provider_error");
    assert_eq!(elsewhere.calls().len(), 0);
    assert_eq!(gateway.provider(KIND).calls().len(), 1);
}

#[tokio::test]
async fn a_success_is_read_whatever_its_content_type_and_2xx() {
    let gateway = with_static_tokens("").await;
    let documented = r#"{"grossBalance":2.00,"blockedBalance":0.00,"netBalance":2.00}"#;
    for fault in [
        FaultKind::ContentType { value: "text/html; charset=utf-16".to_owned() },
        FaultKind::Status { status: 201, retry_after: None, body: Some(documented.to_owned()) },
        FaultKind::Status { status: 203, retry_after: None, body: Some(documented.to_owned()) },
        headers("Content-Encoding", "identity"),
        headers("Retry-After", "100"),
        FaultKind::SlowBody { ms_per_byte: 1 },
        FaultKind::HugeBody { bytes: 60 * 1024 },
    ] {
        let name = fault.name();
        gateway.provider(KIND).queue(Fault::on_balance(fault));

        let reply = gateway.new_balance(KIND).await;

        assert_eq!(reply.status, 200, "{name} {reply:?}");
    }
}

#[tokio::test]
async fn the_age_that_a_provider_tells_is_counted() {
    let gateway = with_static_tokens("").await;
    gateway.provider(KIND).queue(Fault::on_balance(headers("Age", "5")));
    gateway.provider(Kind::Avista).queue(Fault::on_balance(headers("Age", "five")));

    let old = gateway.balance(KIND).await;
    let hit = gateway.balance(KIND).await;
    let unreadable = gateway.balance(Kind::Avista).await;

    assert_eq!((old.header("age"), hit.header("age")), ("6", "6"));
    assert_eq!(hit.header("cache-status"), "balance-gateway; hit; ttl=4");
    let body = old.json();
    let [observed, fetched] = ["observed_at", "fetched_at"]
        .map(|field| body[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    let apart = observed.duration_since(fetched).unsigned_abs();
    assert!((Duration::from_millis(4900)..Duration::from_secs(6)).contains(&apart), "{body}");
    assert_eq!(unreadable.header("age"), "1");
}

#[tokio::test]
async fn an_answer_too_old_for_those_who_waited_is_invalid_for_them_and_stored_for_others() {
    let gateway = with_static_tokens("").await;
    gateway.provider(KIND).queue(Fault::on_balance(headers("Age", "5")));

    let forced = gateway.new_balance(KIND).await;
    let plain = gateway.balance(KIND).await;
    let again = gateway.new_balance(KIND).await;

    forced.assert_problem(502, "provider_invalid_response");
    assert_eq!((plain.status, plain.header("age")), (200, "6"));
    assert_eq!(again.status, 200, "not held: {again:?}");
    assert_eq!(gateway.provider(KIND).calls().len(), 2);
}

#[tokio::test]
async fn an_odd_answer_is_served_and_counted() {
    let gateway = with_static_tokens("").await;
    gateway.provider(KIND).set_field("BRL", None, "blockedBalance", "0.01");
    gateway.provider(KIND).set_timestamp(Some("\"yesterday\"".to_owned()));
    gateway.provider(Kind::Pluggo).remove_field("BRL", None, "timestamp");

    let (reply, pluggo) = (gateway.balance(KIND).await, gateway.balance(Kind::Pluggo).await);
    gateway.balance(Kind::NtxpayMx).await;

    assert_eq!((reply.status, &reply.json()["observed_at"]), (200, &Value::Null));
    assert_eq!((pluggo.status, &pluggo.json()["observed_at"]), (200, &Value::Null));
    for (series, expected) in [
        ("balance_mismatch_total{provider=\"ntxpay-br\"}", 1),
        ("balance_mismatch_total{provider=\"pluggo\"}", 0),
        ("observed_at_unreadable_total{provider=\"ntxpay-br\"}", 1),
        ("observed_at_unreadable_total{provider=\"pluggo\"}", 1),
        ("observed_at_unreadable_total{provider=\"ntxpay-mx\"}", 0),
    ] {
        assert_eq!(gateway.count(series).await, expected, "{series}");
    }
}

#[tokio::test]
async fn a_transient_failure_is_retried_within_one_read() {
    for fault in [
        status(503, None),
        status(502, None),
        status(504, None),
        status(408, None),
        status(425, None),
        FaultKind::Reset,
        FaultKind::CutBody,
    ] {
        let name = format!("{fault:?}");
        let gateway = with_static_tokens("").await;
        gateway.provider(KIND).queue(Fault::on_balance(fault));

        let reply = gateway.balance(KIND).await;

        assert_eq!(reply.status, 200, "{name} {reply:?}");
        assert_eq!(gateway.provider(KIND).calls().len(), 2, "{name}");
        assert_eq!(gateway.count("upstream_retries_total{provider=\"ntxpay-br\"}").await, 1, "{name}");
        assert_eq!(all_errors(&gateway, KIND).await, 1, "{name}");
    }
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    for fault in [
        status(500, None),
        status(404, None),
        status(429, None),
        status(503, Some("3")),
        FaultKind::Garbage,
        body("{}"),
    ] {
        let name = format!("{fault:?}");
        let gateway = with_static_tokens("retries = 3\n").await;
        gateway.provider(KIND).queue(Fault::on_balance(fault));

        let reply = gateway.balance(KIND).await;

        assert!(reply.status >= 500, "{name}");
        assert_eq!(gateway.provider(KIND).calls().len(), 1, "{name}");
        assert_eq!(gateway.count("upstream_retries_total{provider=\"ntxpay-br\"}").await, 0, "{name}");
    }
}

#[tokio::test]
async fn a_provider_that_asks_for_time_gets_it() {
    let gateway = with_static_tokens("").await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(status(429, Some("2"))));

    let refused = gateway.get(PLUGGO).await;
    let held = gateway.get(&format!("{PLUGGO}?currency=USD")).await;
    let forced = gateway.get_with(PLUGGO, &[("cache-control", "no-cache")]).await;
    let calls = gateway.provider(Kind::Pluggo).calls().len();
    gateway.until(PLUGGO, "the provider is asked again", |reply| reply.status == 200).await;

    for reply in [&refused, &held, &forced] {
        reply.assert_problem(503, "provider_busy");
        assert_eq!(retry_after(reply), 2, "{reply:?}");
    }
    assert_eq!(calls, 1);
    let calls = gateway.provider(Kind::Pluggo).calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].instant.duration_since(calls[0].instant) >= Duration::from_secs(2));
    assert!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"hold\"}").await >= 2);
}

#[tokio::test]
async fn a_read_that_was_under_way_does_not_shorten_the_time_that_a_provider_asked_for() {
    let gateway = with_static_tokens("retries = 0\n").await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(status(429, Some("60"))));
    let usd = format!("{PLUGGO}?currency=USD");

    let (under_way, throttled) = tokio::join!(gateway.get(&usd), async {
        gateway.provider(Kind::Pluggo).wait_for_calls(1).await;
        gateway.get(PLUGGO).await
    });
    let held = gateway.get(PLUGGO).await;

    assert_eq!(under_way.status, 200);
    throttled.assert_problem(503, "provider_busy");
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 2);
    held.assert_problem(503, "provider_busy");
    assert!((59..=60).contains(&retry_after(&held)), "{held:?}");
}

#[tokio::test]
async fn a_row_of_failures_is_held_for_twice_as_long_each_time() {
    let gateway = with_static_tokens("retries = 0\n").await;
    gateway.provider(KIND).queue(Fault::on_balance(status(500, None)).times(2));

    let first = gateway.balance(KIND).await;
    let second = gateway.until(BRAZIL, "a second failure", |reply| reply.header("retry-after") == "2").await;
    let healed = gateway.until(BRAZIL, "a success", |reply| reply.status == 200).await;
    gateway.provider(KIND).queue(Fault::on_balance(status(500, None)));
    let again = gateway.new_balance(KIND).await;

    first.assert_problem(502, "provider_error");
    second.assert_problem(502, "provider_error");
    assert_eq!((retry_after(&first), healed.status), (1, 200));
    assert_eq!(retry_after(&again), 1, "a success ends the row");
    let calls = gateway.provider(KIND).calls();
    assert_eq!(calls.len(), 4);
    assert!(calls[2].instant.duration_since(calls[1].instant) >= Duration::from_secs(2));
}

#[tokio::test]
async fn while_refreshes_fail_the_last_snapshot_is_served_and_labelled() {
    let gateway = Harness::start(Setup {
        freshness: "fresh_for = \"1s\"\n".to_owned(),
        provider: "retries = 0\n".to_owned(),
        has_static_tokens: true,
        ..Setup::default()
    })
    .await;
    let before = gateway.balance(KIND).await;
    gateway.provider(KIND).queue(Fault::on_balance(status(500, None)).times(100));
    let says = |detail: &'static str| {
        move |reply: &Reply| reply.header("cache-status").ends_with(&format!("; detail={detail}"))
    };

    let stale = gateway.until(BRAZIL, "a refresh behind", says("stale")).await;
    let failing = gateway.until(BRAZIL, "a failed refresh", says("stale-if-error")).await;
    let forced = gateway.new_balance(KIND).await;
    let excused = gateway.get_with(BRAZIL, &[("cache-control", "no-cache, stale-if-error")]).await;
    let strict = gateway.get_with(BRAZIL, &[("cache-control", "no-cache, stale-if-error=1")]).await;
    gateway.provider(KIND).clear_faults();
    let healed = gateway.until(BRAZIL, "a success", |reply| reply.body != before.body).await;

    for reply in [&stale, &failing, &excused] {
        assert_eq!((reply.status, &reply.body), (200, &before.body));
    }
    assert!(says("stale-if-error")(&excused), "{excused:?}");
    forced.assert_problem(502, "provider_error");
    strict.assert_problem(502, "provider_error");
    assert_eq!(healed.status, 200);
    assert!(errors(&gateway, KIND, "status").await >= 1);
}

#[tokio::test]
async fn five_failures_in_a_row_open_the_breaker_for_all_callers() {
    let further = r#"
[accounts.second]
provider = "pluggo"
api_key = { env = "PLUGGO_API_KEY" }
session_token = { env = "PLUGGO_SESSION_TOKEN" }
"#;
    let provider = "breaker = { failures = 5, cooldown = \"2s\" }\n".to_owned();
    let gateway = Harness::start(Setup { further: further.to_owned(), provider, ..Setup::default() }).await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::Reset).times(6));
    for query in ["", "?currency=USD", "?currency=BTC"] {
        gateway.get(&format!("{PLUGGO}{query}")).await.assert_problem(502, "provider_unreachable");
    }
    // Two attempts for each of the first two; the retry of the third was refused.
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 5);

    let suspended = gateway.get("/v1/accounts/second/balance").await;
    let state = gateway.count("breaker_state{provider=\"pluggo\"}").await;
    let other = gateway.balance(KIND).await;
    let calls = gateway.provider(Kind::Pluggo).calls().len();
    gateway.provider(Kind::Pluggo).clear_faults();
    gateway.until("/v1/accounts/second/balance", "a probe", |reply| reply.status == 200).await;

    suspended.assert_problem(503, "provider_suspended");
    assert!((1..=2).contains(&retry_after(&suspended)));
    assert_eq!((state, other.status, calls), (2, 200, 5));
    assert_eq!(gateway.count("breaker_state{provider=\"pluggo\"}").await, 0);
    assert!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"breaker\"}").await >= 1);
    let calls = gateway.provider(Kind::Pluggo).calls();
    assert!(calls[5].instant.duration_since(calls[4].instant) >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_failed_probe_opens_the_breaker_again() {
    let gateway = with_static_tokens("retries = 0\nbreaker = { failures = 1, cooldown = \"1s\" }\n").await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::Reset).times(2));
    gateway.get(PLUGGO).await.assert_problem(502, "provider_unreachable");

    let probe = format!("{PLUGGO}?currency=USD");
    let failed = gateway.until(&probe, "a probe", |reply| reply.status == 502).await;
    let suspended = gateway.get(&format!("{PLUGGO}?currency=BTC")).await;

    failed.assert_problem(502, "provider_unreachable");
    suspended.assert_problem(503, "provider_suspended");
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 2);
}

#[tokio::test]
async fn a_spent_budget_is_a_problem_without_a_call() {
    let gateway = with_static_tokens("budget = { requests = 2, per = \"1m\" }\n").await;
    let usd = format!("{PLUGGO}?currency=USD");

    let first = gateway.get(PLUGGO).await;
    // 80 % of two for a read without a demand and 90 % for one that a header demands, rounded down, are one call.
    let plain = gateway.get(&usd).await;
    let by_header = gateway.get_with(&usd, &[("cache-control", "no-cache")]).await;
    let certain = format!("{usd}&not_before=9999-12-31T23:59:59Z");
    let demanded = gateway.get(&certain).await;
    let spent = gateway.get(&certain).await;
    let stored = gateway.get(&usd).await;

    assert_eq!((first.status, demanded.status, stored.status), (200, 200, 200));
    for refused in [plain, by_header, spent] {
        refused.assert_problem(503, "budget_exhausted");
        assert!((50..=60).contains(&retry_after(&refused)), "{refused:?}");
    }
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 2);
    assert_eq!(gateway.count("budget_remaining{account=\"pluggo-demo\"}").await, 0);
    assert_eq!(gateway.count("budget_limit{account=\"pluggo-demo\"}").await, 2);
    assert_eq!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"budget\"}").await, 3);
}

#[tokio::test]
async fn a_retry_that_the_budget_refuses_leaves_the_first_problem() {
    let gateway = with_static_tokens("budget = { requests = 1, per = \"1m\" }\n").await;
    gateway.provider(KIND).queue(Fault::on_balance(status(503, None)));

    let reply = gateway.balance(KIND).await;

    reply.assert_problem(502, "provider_error");
    assert_eq!(gateway.provider(KIND).calls().len(), 1);
}

#[tokio::test]
async fn a_disabled_account_causes_no_call() {
    let gateway = Harness::start(Setup { further: SWITCHED_OFF.to_owned(), ..Setup::default() }).await;
    for account in ["off-itself", "off-with-its-provider"] {
        for headers in
            [vec![], vec![("cache-control", "no-cache")], vec![("cache-control", "only-if-cached")]]
        {
            let reply = gateway.get_with(&format!("/v1/accounts/{account}/balance"), &headers).await;

            reply.assert_problem(503, "disabled");
            assert_eq!(retry_after(&reply), 60);
        }
        // Errors of the request itself come first.
        gateway
            .get(&format!("/v1/accounts/{account}/balance?x=1"))
            .await
            .assert_problem(400, "invalid_request");
    }
    assert!(gateway.provider(KIND).calls().is_empty());
}

#[tokio::test]
async fn a_provider_whose_concurrency_is_full_is_busy_and_that_is_not_held() {
    let gateway = with_static_tokens(
        "max_concurrency = 1\nretries = 0\nconnect_timeout = \"700ms\"\nattempt_timeout = \"700ms\"\ndeadline = \"800ms\"\n",
    )
    .await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::StallHead));
    let usd = format!("{PLUGGO}?currency=USD");

    let (stalled, busy) = tokio::join!(gateway.get(PLUGGO), async {
        gateway.provider(Kind::Pluggo).wait_for_calls(1).await;
        let in_flight = gateway.count("upstream_in_flight{provider=\"pluggo\"}").await;
        assert_eq!(in_flight, 1);
        gateway.get(&usd).await
    });
    let calls = gateway.provider(Kind::Pluggo).calls().len();
    let next = gateway.get(&usd).await;

    stalled.assert_problem(504, "provider_timeout");
    busy.assert_problem(503, "provider_busy");
    assert_eq!((retry_after(&busy), calls, next.status), (1, 1, 200));
    assert_eq!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"concurrency\"}").await, 1);
}

#[tokio::test]
async fn a_failure_of_one_provider_does_not_touch_the_others() {
    let gateway = with_provider(IMPATIENT).await;
    gateway.provider(KIND).queue(Fault::on_any(FaultKind::StallHead).times(100));

    let body = gateway.get("/v1/balances").await.json();

    assert_eq!(body["balances"].as_array().unwrap().len(), 5);
    assert_eq!(body["errors"][0]["problem"]["code"], "provider_timeout");
    assert_eq!(body["errors"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_batch_that_does_not_wait_says_what_is_not_there_and_the_reads_go_on() {
    let gateway = with_static_tokens("").await;

    let impatient = gateway.get_with("/v1/balances", &[("prefer", "wait=0")]).await.json();
    let is_complete = |reply: &Reply| reply.json()["complete"] == true;
    gateway.until("/v1/balances", "all reads have ended", is_complete).await;

    let errors = impatient["errors"].as_array().unwrap();
    assert!(errors.iter().all(|item| item["problem"]["code"] == "deadline_exceeded"), "{impatient}");
    assert_eq!((errors.len(), &impatient["complete"]), (6, &Value::Bool(false)));
    let calls = Kind::ALL.map(|kind| gateway.provider(kind).calls().len());
    assert_eq!(calls.iter().sum::<usize>(), 6, "{calls:?}");
}
