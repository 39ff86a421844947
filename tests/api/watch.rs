//! Balances that are read without a caller.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};

use crate::harness::{Harness, Setup, eventually};

const KIND: Kind = Kind::NtxpayBr;

/// One more account of the provider, watched this often.
fn watched(interval: &str) -> String {
    format!(
        "[accounts.watched]\nprovider = \"{KIND}\"\ntoken = {{ env = \"NTXPAY_BR_TOKEN\" }}\n\
         watch = \"{interval}\"\nalerts = {{ critical = \"50000\" }}\n"
    )
}

async fn start(setup: Setup) -> Harness {
    Harness::start(Setup { has_static_tokens: true, ..setup }).await
}

fn reads(gateway: &Harness) -> usize {
    gateway.calls(KIND, Operation::Balance).len()
}

async fn reads_come(gateway: &Harness, count: usize) {
    eventually("the reads without a caller", || async { reads(gateway) >= count }).await;
}

#[tokio::test]
async fn a_watched_balance_is_read_and_evaluated_without_a_caller() {
    let provider = "fresh_for = \"1s\"\n".to_owned();
    let gateway = start(Setup { further: watched("1s"), provider, ..Setup::default() }).await;
    let began = Instant::now();

    reads_come(&gateway, 3).await;

    assert!(began.elapsed() >= Duration::from_secs(2), "there is an interval between two reads");
    let level = "alert_active{account=\"watched\",currency=\"BRL\",type=\"\",level=\"critical\"}";
    eventually("the level is evaluated", || async { gateway.metric(level).await == Some(1.0) }).await;
    let lookups = "cache_lookups_total{provider=\"ntxpay-br\",outcome=\"miss\"}";
    assert_eq!(gateway.count(lookups).await, 0, "no caller asked");
    let cached = [("cache-control", "only-if-cached")];
    assert_eq!(gateway.get_with("/v1/accounts/watched/balance", &cached).await.status, 200);
}

#[tokio::test]
async fn a_fresh_balance_is_not_read_again() {
    let provider = "fresh_for = \"60s\"\n".to_owned();
    let gateway = start(Setup { further: watched("1s"), provider, ..Setup::default() }).await;
    reads_come(&gateway, 1).await;
    let began = Instant::now();

    // Two intervals have passed: another balance with the same interval was read.
    let beside = start(Setup {
        further: watched("1s"),
        provider: "fresh_for = \"1s\"\n".to_owned(),
        ..Setup::default()
    })
    .await;
    reads_come(&beside, 3).await;

    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(reads(&gateway), 1);
}

#[tokio::test]
async fn disabled_and_unwatched_balances_are_not_read() {
    let off = watched("1s").replace("[accounts.watched]", "[accounts.off]\nenabled = false");
    let gateway = start(Setup {
        further: format!("{off}{}", watched("1s")),
        provider: "fresh_for = \"1s\"\n".to_owned(),
        ..Setup::default()
    })
    .await;

    reads_come(&gateway, 2).await;

    let state = gateway.operations("/status").await.json();
    let read: Vec<_> = state["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|account| !account["balances"][0]["requested_at"].is_null())
        .map(|account| account["account"].as_str().unwrap())
        .collect();
    assert_eq!(read, ["watched"]);
}

#[tokio::test]
async fn watches_leave_40_percent_of_the_budget_to_callers() {
    let gateway = start(Setup {
        further: watched("1s"),
        provider: "fresh_for = \"1s\"\nbudget = { requests = 5, per = \"1h\" }\n".to_owned(),
        ..Setup::default()
    })
    .await;
    let refused = "reads_refused_total{provider=\"ntxpay-br\",reason=\"budget\"}";

    eventually("a watch is refused", || async { gateway.count(refused).await > 0 }).await;

    assert_eq!(reads(&gateway), 3, "60 % of five");
    // A demand that may use the whole budget.
    let certain = "/v1/accounts/watched/balance?not_before=9999-12-31T23:59:59Z";
    for _ in 0..2 {
        assert_eq!(gateway.get(certain).await.status, 200);
    }
    gateway.get(certain).await.assert_problem(503, "budget_exhausted");
}

#[tokio::test]
async fn a_failure_does_not_end_a_watch_and_a_hold_applies_to_it() {
    let gateway = start(Setup {
        further: watched("1s"),
        provider: "fresh_for = \"1s\"\n".to_owned(),
        ..Setup::default()
    })
    .await;
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::status(400)));

    reads_come(&gateway, 2).await;

    let calls = gateway.calls(KIND, Operation::Balance);
    assert!(calls[1].instant.duration_since(calls[0].instant) >= Duration::from_secs(1));
    let cached = [("cache-control", "only-if-cached")];
    eventually("the second read is stored", || async {
        gateway.get_with("/v1/accounts/watched/balance", &cached).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn no_watch_reads_while_the_gateway_drains() {
    let server = "drain_delay = \"3s\"\n".to_owned();
    let provider = "fresh_for = \"1s\"\n".to_owned();
    let mut gateway = start(Setup { further: watched("1s"), server, provider, ..Setup::default() }).await;
    reads_come(&gateway, 1).await;

    gateway.begin_shutdown();
    let before = reads(&gateway);
    gateway.ended().await;

    // One read may have started with the signal; three intervals have passed since.
    assert!(reads(&gateway) <= before + 1);
}

#[tokio::test]
async fn first_reads_are_spread_in_time() {
    let accounts: String = (0..50)
        .map(|index| watched("10m").replace("[accounts.watched]", &format!("[accounts.watched-{index}]")))
        .collect();
    let gateway = start(Setup { further: accounts, ..Setup::default() }).await;
    let began = Instant::now();

    // Fifty reads over 10 s are a fifth of a second apart.
    reads_come(&gateway, 20).await;

    let took = began.elapsed();
    assert!(took >= Duration::from_millis(3600), "twenty of fifty within {took:?}");
}
