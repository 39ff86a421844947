//! The answers to callers, and the calls to providers, when a provider fails or is on hold.

mod answers;
mod limits;
mod retries;

use std::fs;
use std::path::Path;
use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, SimulatedProvider};
use serde_json::Value;

use crate::harness::{Harness, Reply, SWITCHED_OFF, Setup};

const KIND: Kind = Kind::NtxpayBr;
const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
const PLUGGO: &str = "/v1/accounts/pluggo-demo/balance";
/// One short attempt, so that a time-out comes soon.
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

/// This many further accounts at one provider, named `hostile-0` and so on.
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

    let stale = gateway.until(BRAZIL, "a background refresh", says("stale")).await;
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
async fn a_failure_of_one_provider_does_not_touch_the_others() {
    let gateway = with_provider(IMPATIENT).await;
    gateway.provider(KIND).queue(Fault::on_any(FaultKind::StallHead).times(100));

    let body = gateway.get("/v1/balances").await.json();

    assert_eq!(body["balances"].as_array().unwrap().len(), 5);
    assert_eq!(body["errors"][0]["problem"]["code"], "provider_timeout");
    assert_eq!(body["errors"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_batch_that_does_not_wait_names_the_missing_balances_and_their_reads_continue() {
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
