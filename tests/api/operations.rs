//! The operations port: probes, the status page, and the metrics page.

use std::io::Write;
use std::process::{Command, Stdio};

use balance_gateway::sandbox::{Credentials, Fault, FaultKind, Kind};

use crate::alerts::LEVELS;
use crate::harness::{Harness, KEY, Setup, eventually, value_of};

const OUTCOMES: [&str; 7] = ["hit", "stale", "miss", "refresh", "collapsed", "not_cached", "error"];
const ERRORS: [&str; 7] = ["connect", "throttled", "timeout", "status", "refused", "invalid", "too_large"];
const ROUTES: [&str; 14] = [
    "/v1/accounts",
    "/v1/accounts/{account}/balance",
    "/v1/accounts/{account}/invalidate",
    "/v1/accounts/{account}/sufficiency",
    "/v1/balances",
    "/v1/reconciliation",
    "/v1/events",
    "/",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
    "/dashboard",
    "/dashboard/{file}",
    "unmatched",
];

#[tokio::test]
async fn the_probes_answer_200() {
    let gateway = Harness::usual().await;

    assert_eq!(gateway.operations("/livez").await.status, 200);
    assert_eq!(gateway.operations("/readyz").await.status, 200);
}

#[tokio::test]
async fn readiness_never_depends_on_a_provider() {
    let gateway = Harness::start(Setup {
        provider: "breaker = { failures = 1, cooldown = \"1m\" }\n".to_owned(),
        ..Setup::default()
    })
    .await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_any(FaultKind::Reset).times(100));
    gateway.balance(Kind::NtxpayBr).await.assert_problem(502, "provider_unreachable");

    assert_eq!(gateway.operations("/readyz").await.status, 200);
    assert_eq!(gateway.operations("/livez").await.status, 200);
}

#[tokio::test]
async fn while_draining_readiness_fails_and_the_operations_port_answers_to_the_end() {
    let mut gateway =
        Harness::start(Setup { server: "drain_delay = \"300ms\"\n".to_owned(), ..Setup::default() }).await;

    gateway.begin_shutdown();
    let ready = gateway.operations("/readyz").await;
    let live = gateway.operations("/livez").await;
    let served = gateway.balance(Kind::NtxpayBr).await;
    gateway.ended().await;

    assert_eq!((ready.status, live.status), (503, 200));
    assert_eq!((served.status, served.header("connection")), (200, "close"));
    assert!(gateway.client.get(format!("http://{}/livez", gateway.ops)).send().await.is_err());
}

#[tokio::test]
async fn neither_port_serves_paths_of_the_other() {
    let gateway = Harness::usual().await;
    for path in ["/livez", "/readyz", "/metrics", "/status"] {
        gateway.get(path).await.assert_problem(404, "not_found");
    }
    for path in ["/v1/accounts", "/v1/balances", "/v1/accounts/ntxpay-br-demo/balance", "/dashboard"] {
        let url = format!("http://{}{path}", gateway.ops);
        assert_eq!(gateway.client.get(url).bearer_auth(KEY).send().await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn the_status_page_has_neither_secrets_nor_amounts() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::Avista).queue(Fault::on_balance(FaultKind::status(500)));
    gateway.get("/v1/balances").await;

    let page = gateway.operations("/status").await;

    let state = page.json();
    let named = |list: &str, field: &str, name: &str| {
        let items = state[list].as_array().unwrap();
        items.iter().find(|item| item[field] == name).unwrap().clone()
    };
    let (avista, brazil) =
        (named("providers", "provider", "avista"), named("accounts", "account", "ntxpay-br-demo"));
    assert_eq!((&avista["breaker"], &avista["last_failure_kind"]), (&"closed".into(), &"status".into()));
    assert_eq!(brazil["budget_remaining"], 298);
    assert!(brazil["token_expires_at"].is_string());
    assert_eq!(brazil["balances"][0]["age_seconds"], 1);
    for kind in Kind::ALL {
        let Credentials { client_id, client_secret, token, api_key, session_token } =
            gateway.provider(kind).credentials();
        for secret in [client_id, client_secret, token, api_key, session_token, KEY.to_owned()] {
            assert!(!page.body.contains(&secret), "{kind}");
        }
    }
    for amount in ["48734", "20000.25", "1250.75", "310.2", "0.12345678"] {
        assert!(!page.body.contains(amount), "{amount}");
    }
}

/// Every documented counter and histogram, which exists from the start.
fn series_that_start_at_zero() -> Vec<String> {
    let mut series: Vec<String> =
        ["http_requests_in_flight", "log_lines_dropped_total"].map(str::to_owned).to_vec();
    for route in ROUTES {
        for part in ["count", "sum"] {
            series.push(format!("http_request_duration_seconds_{part}{{route=\"{route}\"}}"));
        }
        series.push(format!("http_request_duration_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}}"));
    }
    for reason in ["missing", "unknown", "throttled"] {
        series.push(format!("auth_failures_total{{reason=\"{reason}\"}}"));
    }
    for reason in ["limit", "head", "tls"] {
        series.push(format!("connections_refused_total{{reason=\"{reason}\"}}"));
    }
    for policy in ["caller", "forced"] {
        series.push(format!("rate_limited_total{{caller=\"all\",policy=\"{policy}\"}}"));
    }
    series.push("forced_reads_total{caller=\"all\"}".to_owned());
    for result in ["ok", "rejected"] {
        series.push(format!("config_reloads_total{{result=\"{result}\"}}"));
    }
    for provider in Kind::ALL {
        let label = format!("provider=\"{provider}\"");
        for outcome in OUTCOMES {
            series.push(format!("cache_lookups_total{{{label},outcome=\"{outcome}\"}}"));
        }
        series.push(format!("served_age_seconds_count{{{label}}}"));
        series.push(format!("served_age_seconds_bucket{{{label},le=\"60\"}}"));
        for operation in ["balance", "token"] {
            let label = format!("{label},operation=\"{operation}\"");
            series.push(format!("upstream_request_duration_seconds_count{{{label}}}"));
            for kind in ERRORS {
                series.push(format!("upstream_errors_total{{{label},kind=\"{kind}\"}}"));
            }
        }
        for reason in ["hold", "breaker", "budget", "concurrency"] {
            series.push(format!("reads_refused_total{{{label},reason=\"{reason}\"}}"));
        }
        for name in [
            "upstream_retries_total",
            "upstream_in_flight",
            "breaker_state",
            "balance_mismatch_total",
            "observed_at_unreadable_total",
        ] {
            series.push(format!("{name}{{{label}}}"));
        }
        series.push(format!("credential_rejected{{account=\"{provider}-demo\"}}"));
    }
    series
}

#[tokio::test]
async fn every_series_exists_with_zero_before_the_first_request() {
    let gateway = Harness::usual().await;

    let page = gateway.operations("/metrics").await;

    assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"), "{page:?}");
    let missing: Vec<_> = series_that_start_at_zero()
        .into_iter()
        .filter(|series| value_of(&page.body, &format!("balance_gateway_{series}")) != Some(0.0))
        .collect();
    assert!(missing.is_empty(), "not there with 0: {missing:#?}");
}

#[tokio::test]
async fn a_gauge_exists_only_while_its_value_is_known() {
    let gateway = Harness::usual().await;
    let budget = "budget_limit{account=\"ntxpay-mx-demo\"}";
    let token = "token_expiry_timestamp_seconds{account=\"ntxpay-br-demo\"}";
    let snapshot = "snapshot_timestamp_seconds{account=\"ntxpay-br-demo\",currency=\"BRL\",type=\"\"}";
    let crypto = "snapshot_timestamp_seconds{account=\"pluggo-demo\",currency=\"BTC\",type=\"CRYPTO\"}";

    let before = [gateway.metric(token).await, gateway.metric(snapshot).await, gateway.metric(crypto).await];
    gateway.get("/v1/balances").await;
    let after = [gateway.metric(token).await, gateway.metric(snapshot).await, gateway.metric(crypto).await];
    let page = gateway.operations("/metrics").await.body;

    assert_eq!(before, [None, None, None]);
    assert!(after.iter().all(|value| value.is_some_and(|seconds| seconds > 1.7e9)), "{after:?}");
    assert_eq!((gateway.count(budget).await, gateway.count(&budget.replace("mx", "br")).await), (50, 300));
    assert_eq!(gateway.count("budget_remaining{account=\"ntxpay-mx-demo\"}").await, 48);
    assert!(gateway.metric("config_last_reload_success_timestamp_seconds").await > Some(1.7e9));
    let version = env!("CARGO_PKG_VERSION");
    let build = page.lines().find(|line| line.starts_with("balance_gateway_build_info{")).unwrap();
    assert!(build.contains(&format!("version=\"{version}\"")) && build.contains("revision=\""), "{build}");
    assert!(build.ends_with(" 1"), "{build}");
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
    ] {
        assert!(value_of(&page, name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_last_finite_bucket_of_served_ages_is_60() {
    let gateway = Harness::usual().await;

    let page = gateway.operations("/metrics").await.body;

    let bounds: Vec<f64> = page
        .lines()
        .filter(|line| line.starts_with("balance_gateway_served_age_seconds_bucket{provider=\"avista\""))
        .filter_map(|line| line.split_once("le=\"")?.1.split_once('"')?.0.parse().ok())
        .filter(|bound: &f64| bound.is_finite())
        .collect();
    assert_eq!(bounds.last(), Some(&60.0));
}

#[tokio::test]
async fn requests_are_counted_by_pattern_and_status() {
    let gateway = Harness::usual().await;
    gateway.balance(Kind::NtxpayBr).await;
    gateway.balance(Kind::NtxpayBr).await;
    gateway.get("/v1/accounts/nobody/balance").await;
    gateway.get("/v1/accounts/ntxpay-br-demo/x-made-up-path").await;
    gateway.send("GET", "/v1/balances", None, &[]).await;

    eventually("the last request is counted", || async {
        gateway.metric("http_requests_total{route=\"/v1/balances\",status=\"401\"}").await == Some(1.0)
    })
    .await;
    let pattern = "/v1/accounts/{account}/balance";
    assert_eq!(gateway.count(&format!("http_requests_total{{route=\"{pattern}\",status=\"200\"}}")).await, 2);
    assert_eq!(gateway.count(&format!("http_requests_total{{route=\"{pattern}\",status=\"404\"}}")).await, 1);
    assert_eq!(gateway.count("http_requests_total{route=\"unmatched\",status=\"404\"}").await, 1);
    assert_eq!(
        gateway.count(&format!("http_request_duration_seconds_count{{route=\"{pattern}\"}}")).await,
        3
    );
    let page = gateway.operations("/metrics").await.body;
    assert!(!page.contains("nobody") && !page.contains("x-made-up-path"));
}

#[tokio::test]
async fn promtool_accepts_the_metrics_page() {
    let further = format!("{LEVELS}[metrics]\nbalances = true\n");
    let gateway = Harness::start(Setup { further, has_static_tokens: true, ..Setup::default() }).await;
    gateway.get("/v1/balances").await;
    gateway.get("/v1/accounts/nobody/balance").await;
    let page = gateway.operations("/metrics").await.body;
    assert!(page.contains("alert_active{") && page.contains("balance_amount{"));

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: install the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();

    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
