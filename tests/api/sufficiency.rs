//! The check before a payment: exact at the boundary, and never with a balance read before the request.

use std::sync::Arc;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Harness, KEY, Reply, SWITCHED_OFF, Setup, digest};

const KIND: Kind = Kind::NtxpayBr;
const PATH: &str = "/v1/accounts/ntxpay-br-demo/sufficiency";
/// The most digits that an amount may have.
const MOST: &str = "9999999999999999999999999999";

fn asking(amount: &str) -> String {
    format!("{PATH}?amount={amount}")
}

fn set_available(gateway: &Harness, raw: &str) {
    gateway.provider(KIND).set_field("BRL", None, "netBalance", raw);
}

fn reads(gateway: &Harness) -> usize {
    gateway.calls(KIND, Operation::Balance).len()
}

async fn forced_reads(gateway: &Harness) -> u64 {
    gateway.count("forced_reads_total{caller=\"all\"}").await
}

#[tokio::test]
async fn the_comparison_is_exact_to_the_last_digit() {
    let gateway = Harness::usual().await;
    let smallest = "0.000000000000000000000000001";
    for (available, amount, shown, shortfall) in [
        ("100.00", "100.00", "100.00", Some("0.00")),
        ("100.00", "100", "100.00", Some("0.00")),
        ("100.00", "100.01", "100.01", Some("0.01")),
        ("100.00", "99.995", "99.995", Some("0.00")),
        ("99.99", "99.995", "99.995", Some("0.005")),
        ("100.00", "0100.0", "100.00", Some("0.00")),
        ("0.00", "0.01", "0.01", Some("0.01")),
        ("-5.50", "10", "10.00", Some("15.50")),
        ("0", smallest, smallest, Some(smallest)),
        (smallest, smallest, smallest, Some("0.00")),
        (MOST, MOST, "9999999999999999999999999999.00", Some("0.00")),
        ("9999999999999999999999999998", MOST, "9999999999999999999999999999.00", Some("1.00")),
        ("-0.01", MOST, "9999999999999999999999999999.00", None),
    ] {
        set_available(&gateway, available);

        let body = gateway.get(&asking(amount)).await.json();

        assert_eq!(body["sufficient"], shortfall == Some("0.00"), "{available} {amount}: {body}");
        assert_eq!((&body["amount"], &body["shortfall"]), (&json!(shown), &json!(shortfall)), "{available}");
        assert_eq!(body["available"], body["balance"]["available"]);
        assert_eq!(body["balance"]["reported"]["netBalance"], available);
    }
    assert_eq!(reads(&gateway), 13, "each check caused a new read");
}

#[tokio::test]
async fn the_answer_is_exactly_as_documented() {
    let gateway = Harness::usual().await;

    let reply = gateway.get(&asking("150.00")).await;
    let balance = gateway.balance(KIND).await;
    let head = gateway.send("HEAD", &asking("150.00"), Some(KEY), &[]).await;

    let before =
        r#"{"sufficient":true,"amount":"150.00","available":"48734.90","shortfall":"0.00","balance":"#;
    assert_eq!(reply.body, format!("{before}{}}}", balance.body));
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!((reply.header("cache-control"), reply.header("age")), ("no-store", "1"));
    assert!(reply.headers.get("etag").is_none() && reply.header("ratelimit").starts_with("\"caller\""));
    assert_eq!((head.status, head.body.as_str(), head.header("age")), (200, "", "1"));
    assert_eq!(head.header("content-length"), reply.body.len().to_string());
    assert_eq!(reads(&gateway), 2, "the balance was not read for the second request");
}

#[tokio::test]
async fn an_invalid_amount_is_400_without_a_call() {
    let gateway = Harness::usual().await;
    let (too_long, with_zero) = (format!("{MOST}9"), format!("0.{MOST}"));
    let amounts = [
        "",
        "0",
        "0.00",
        "-1",
        "%2B1",
        "+1",
        "1e2",
        "1,5",
        "1.",
        ".5",
        "1.2.3",
        "1_000",
        "0x1",
        "NaN",
        " 1",
        "1%20",
        "%EF%BC%91",
        &too_long,
        &with_zero,
    ];
    for amount in amounts {
        gateway.get(&asking(amount)).await.assert_problem(400, "invalid_request");
    }
    for query in [
        "",
        "?amount",
        "?amount=1&amount=1",
        "?Amount=1",
        "?amount=1&x=1",
        "?amount=1&not_before=2026-11-21T07:00:00Z",
    ] {
        gateway.get(&format!("{PATH}{query}")).await.assert_problem(400, "invalid_request");
    }
    assert_eq!(reads(&gateway), 0);
}

#[tokio::test]
async fn no_cache_control_directive_allows_an_older_balance() {
    let gateway = Harness::usual().await;
    gateway.balance(KIND).await;
    for directives in ["max-age=60", "only-if-cached", "min-fresh=1", "stale-if-error", "max-stale=60"] {
        let before = reads(&gateway);

        let reply = gateway.get_with(&asking("1"), &[("cache-control", directives)]).await;

        assert_eq!((reply.status, reads(&gateway)), (200, before + 1), "{directives}");
    }
}

#[tokio::test]
async fn a_failed_read_is_a_problem_even_with_a_cached_balance() {
    let provider = "breaker = { failures = 1000, cooldown = \"1s\" }\n".to_owned();
    let gateway = Harness::start(Setup { provider, ..Setup::default() }).await;
    gateway.balance(KIND).await;
    gateway.send("POST", "/v1/accounts/ntxpay-br-demo/invalidate", Some(KEY), &[]).await;
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::status(500)));

    let failed = gateway.get_with(&asking("1"), &[("cache-control", "stale-if-error")]).await;
    let held = gateway.get(&asking("1")).await;

    failed.assert_problem(502, "provider_error");
    held.assert_problem(502, "provider_error");
    assert_eq!((held.header("retry-after"), reads(&gateway)), ("1", 2));
    let without_demand = gateway.balance(KIND).await;
    assert_eq!(
        without_demand.status, 200,
        "a request without a demand still gets the last balance: {without_demand:?}"
    );
}

#[tokio::test]
async fn prefer_wait_bounds_the_check() {
    let gateway = Harness::usual().await;
    gateway.balance(KIND).await;
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));

    let reply = gateway.get_with(&asking("1"), &[("prefer", "wait=0")]).await;

    reply.assert_problem(504, "deadline_exceeded");
    assert_eq!(reply.header("preference-applied"), "wait=0");
}

#[tokio::test]
async fn refusals_come_in_the_documented_order() {
    let key = "bgk_test-key-of-a-caller-that-sees-one-account";
    let caller = format!(
        "[callers.one]\nkeys_sha256 = [\"{}\"]\naccounts = [\"ntxpay-br-*\"]\n\
         limit = {{ requests = 6, per = \"1h\", burst = 6 }}\n",
        digest(key)
    );
    let gateway =
        Harness::start(Setup { further: format!("{caller}{SWITCHED_OFF}"), ..Setup::default() }).await;
    let path = |account: &str, query: &str| format!("/v1/accounts/{account}/sufficiency{query}");
    let refused = async |method: &str, path: &str, status, code| {
        gateway.send(method, path, Some(key), &[]).await.assert_problem(status, code);
    };

    gateway.send("GET", &path("avista-demo", ""), None, &[]).await.assert_problem(401, "unauthenticated");
    refused("POST", &path("avista-demo", ""), 404, "account_not_found").await;
    refused("GET", &path("nobody", "?amount=x"), 404, "account_not_found").await;
    refused("POST", &path("ntxpay-br-demo", ""), 405, "method_not_allowed").await;
    refused("GET", &path("ntxpay-br-demo", "?amount=1&currency=USD"), 400, "unsupported_currency").await;
    refused("GET", &path("ntxpay-br-demo", "?amount=1&type=FIAT"), 400, "unsupported_type").await;
    refused("GET", &path("ntxpay-br-demo", "?amount=x"), 400, "invalid_request").await;
    // Each refusal cost one unit, and there were six.
    refused("GET", &path("nobody", ""), 429, "rate_limited").await;
    let off = gateway.get(&path("off-itself", "?amount=1")).await;
    off.assert_problem(503, "disabled");
    assert_eq!(off.header("retry-after"), "60");
    gateway.get(&path("off-itself", "?amount=0")).await.assert_problem(400, "invalid_request");
    assert_eq!(gateway.calls(KIND, Operation::Balance).len(), 0);
}

#[tokio::test]
async fn currency_and_type_choose_the_balance() {
    let gateway = Harness::usual().await;
    for (query, amount, available, shortfall) in [
        ("", "1250.75", "1250.75", "0.00"),
        ("&currency=USD", "400", "310.20", "89.80"),
        ("&type=CRYPTO", "0.12345679", "0.12345678", "0.00000001"),
        ("&currency=BTC&type=CRYPTO", "0.12345678", "0.12345678", "0"),
    ] {
        let path = format!("/v1/accounts/pluggo-demo/sufficiency?amount={amount}{query}");

        let body = gateway.get(&path).await.json();

        assert_eq!(
            (&body["available"], &body["shortfall"]),
            (&json!(available), &json!(shortfall)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_check_costs_a_forced_unit_only_when_a_usable_balance_was_cached() {
    let caller = "forced = { requests = 1, per = \"1h\", burst = 1 }\n".to_owned();
    let gateway = Harness::start(Setup { caller, ..Setup::default() }).await;
    assert_eq!(gateway.get(&asking("1")).await.status, 200);
    assert_eq!(forced_reads(&gateway).await, 0, "nothing was cached");

    assert_eq!(gateway.get(&asking("1")).await.status, 200);
    assert_eq!(forced_reads(&gateway).await, 1);
    let refused = gateway.get(&asking("1")).await;

    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("ratelimit").contains("\"forced\";r=0"), "{refused:?}");
    assert_eq!((forced_reads(&gateway).await, reads(&gateway)), (1, 2));
    let outcome = |outcome| format!("cache_lookups_total{{provider=\"ntxpay-br\",outcome=\"{outcome}\"}}");
    assert_eq!(gateway.count(&outcome("miss")).await, 1);
    assert_eq!(gateway.count(&outcome("refresh")).await, 1);
    assert_eq!(gateway.count(&outcome("error")).await, 1);
}

/// Whole cents of an amount with two decimals.
fn cents(amount: &Value) -> i64 {
    amount.as_str().unwrap().replace('.', "").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_checks_never_use_a_balance_read_before_they_arrived() {
    const CHECKERS: usize = 200;
    const CHECKS: usize = 5;
    let gateway = Arc::new(Harness::usual().await);
    gateway.provider(KIND).set_drift(true);
    // Slow enough that checks arrive during a read.
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Delay { ms: 20 }).times(u32::MAX));
    let checker = |_| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let mut answers: Vec<(Timestamp, Reply)> = Vec::with_capacity(CHECKS);
            for _ in 0..CHECKS {
                let asked = Timestamp::now();
                answers.push((asked, gateway.get(&asking("48734.90")).await));
            }
            answers
        })
    };

    let checkers: Vec<_> = (0..CHECKERS).map(checker).collect();
    let mut answers = Vec::new();
    for checker in checkers {
        answers.extend(checker.await.unwrap());
    }

    assert_eq!(answers.len(), CHECKERS * CHECKS);
    let mut verdicts = [0, 0];
    for (asked, reply) in &answers {
        assert_eq!(reply.status, 200, "{reply:?}");
        let body = reply.json();
        let fetched_at: Timestamp = body["balance"]["fetched_at"].as_str().unwrap().parse().unwrap();
        // Truncated to the milliseconds of the answer.
        assert!(fetched_at.as_millisecond() >= asked.as_millisecond(), "{fetched_at} before {asked}");
        let missing = 4_873_490 - cents(&body["balance"]["available"]);
        assert_eq!(body["sufficient"], missing <= 0, "{body}");
        assert_eq!(cents(&body["shortfall"]), missing.max(0), "{body}");
        verdicts[usize::from(missing <= 0)] += 1;
    }
    let reads = reads(&gateway);
    println!("{} checks, {reads} reads, {verdicts:?} insufficient and sufficient", answers.len());
    assert!(reads < CHECKERS, "they share reads: {reads}");
}
