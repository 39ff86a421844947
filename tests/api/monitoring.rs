//! The shipped Grafana dashboard and rules against a running gateway: every query finds data.

use std::collections::BTreeSet;

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use serde_json::Value;

use crate::alerts::LEVELS;
use crate::harness::{Harness, Setup, TEST_TIMEOUT, eventually, retry_within};
use crate::prometheus::Prometheus;

const DASHBOARD: &str = include_str!("../../config/grafana/balance-gateway.json");
const RULES: [&str; 2] = [
    include_str!("../../config/prometheus/recording.yml"),
    include_str!("../../config/prometheus/alerts.yml"),
];
/// Values that Grafana would insert for the dashboard's variables.
const VARIABLES: [(&str, &str); 5] = [
    ("$__rate_interval", "10s"),
    ("$namespace", "payments"),
    ("$provider", ".*"),
    ("$account", ".*"),
    ("$caller", ".*"),
];
/// 32 bytes, as `[shared]` requires.
const SHARED_KEY: &str = "c2hhcmVkLWtleS1vZi10aGUtdGVzdHMtMzItYnl0ZXM=";

/// One query of the dashboard.
struct Query {
    panel: String,
    expression: String,
    /// The labels in its legend.
    shown: Vec<String>,
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn with_values(expression: &str) -> String {
    VARIABLES.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The queries of the panels.
fn panel_queries(dashboard: &Value) -> Vec<Query> {
    let queries = panels(dashboard).into_iter().flat_map(|panel| {
        panel["targets"].as_array().unwrap().iter().map(|target| {
            let shown = text(&target["legendFormat"]).split("{{").skip(1);
            Query {
                panel: text(&panel["title"]).to_owned(),
                expression: with_values(text(&target["expr"])),
                shown: shown.map(|rest| rest.split_once("}}").unwrap().0.to_owned()).collect(),
            }
        })
    });
    queries.collect()
}

/// The queries behind the variables: `label_values(series, label)`.
fn variable_queries(dashboard: &Value) -> Vec<Query> {
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let queries = variables.filter(|variable| variable["type"] == "query").map(|variable| {
        let inner = text(&variable["query"]["query"]).strip_prefix("label_values(").unwrap();
        let (series, label) = inner.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        Query {
            panel: text(&variable["name"]).to_owned(),
            expression: with_values(series),
            shown: vec![label.to_owned()],
        }
    });
    queries.collect()
}

/// The gateway's metrics in a text; names with a colon belong to recording rules.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|byte: char| !(byte.is_ascii_alphanumeric() || byte == '_' || byte == ':'))
        .filter(|word| word.starts_with("balance_gateway_") || word.starts_with("process_"))
        .collect()
}

/// Sends requests while one provider fails.
async fn traffic(gateway: &Harness) {
    gateway.get("/v1/balances").await;
    gateway.send("GET", "/v1/balances", None, &[]).await;
}

/// With alert levels, amounts as gauges, an unreachable store, a hook, and a certificate.
async fn with_levels() -> Harness {
    let shared = "[shared]\nurl = \"redis://127.0.0.1:1\"\nkey = { env = \"SHARED_KEY\" }\n";
    let hook = "[hooks.mexico]\naccounts = [\"*-mx\"]\n\
                basic = { user = \"ntx\", password = { env = \"HOOK_PASSWORD\" } }\n";
    let certified = "[accounts.certified]\nprovider = \"ntxpay-br\"\nenabled = false\n\
                     client_id = { env = \"CERTIFIED_ID\" }\nclient_secret = { env = \"CERTIFIED_SECRET\" }\n\
                     certificate = { env = \"CERTIFICATE\" }\n";
    let further = format!("{LEVELS}{certified}[metrics]\nbalances = true\n{shared}{hook}");
    let certificate = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap().cert.pem();
    let secrets = vec![
        ("SHARED_KEY", SHARED_KEY.to_owned()),
        ("HOOK_PASSWORD", "a-password-of-the-hook".to_owned()),
        ("CERTIFIED_ID", "the-id-of-the-certified".to_owned()),
        ("CERTIFIED_SECRET", "a-secret-of-the-certified".to_owned()),
        ("CERTIFICATE", certificate),
    ];
    let server = "hooks = \"127.0.0.1:0\"".to_owned();
    Harness::start(Setup { server, further, secrets, ..Setup::default() }).await
}

async fn gateway_with_a_failing_provider() -> Harness {
    let gateway = with_levels().await;
    gateway.provider(Kind::Avista).queue(Fault::on_any(FaultKind::status(500)).times(10_000));
    traffic(&gateway).await;
    gateway
}

#[tokio::test]
async fn the_dashboard_and_the_rules_use_only_existing_metrics() {
    let gateway = gateway_with_a_failing_provider().await;
    let page = gateway.operations("/metrics").await.body;
    let on_the_page: BTreeSet<_> = page.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();

    let named: BTreeSet<_> = [DASHBOARD, RULES[0], RULES[1]].into_iter().flat_map(metrics_in).collect();

    assert!(named.len() > 25, "{named:?}");
    let unknown: Vec<_> = named.difference(&on_the_page).collect();
    assert!(unknown.is_empty(), "not on the page: {unknown:?}");
}

#[tokio::test]
async fn every_query_of_the_dashboard_returns_data() {
    let gateway = gateway_with_a_failing_provider().await;
    let prometheus = Prometheus::scraping(gateway.ops).await;
    let dashboard = dashboard();

    for Query { panel, expression, shown } in
        panel_queries(&dashboard).into_iter().chain(variable_queries(&dashboard))
    {
        // Some queries need several scrapes, with traffic between them.
        let query = || async {
            let found = prometheus.query(&expression).await;
            if found.is_empty() {
                traffic(&gateway).await;
                return Err(());
            }
            Ok(found)
        };
        let found = retry_within(TEST_TIMEOUT, query).await;
        let found = found.unwrap_or_else(|()| panic!("no data for {panel}: {expression}"));
        for label in shown {
            let has_it = found.iter().any(|series| series["metric"].get(&label).is_some());
            assert!(has_it, "no label {label} for {panel}: {expression}");
        }
    }
}

/// The rules with this value in a field.
async fn rules_with(prometheus: &Prometheus, field: &str, value: &str) -> Vec<Value> {
    let mut rules = prometheus.rules().await;
    rules.retain(|rule| rule[field] == value);
    rules
}

#[tokio::test]
async fn a_working_gateway_evaluates_every_rule_and_raises_no_alert() {
    let gateway = Harness::usual().await;
    gateway.get("/v1/balances").await;
    let prometheus = Prometheus::scraping(gateway.ops).await;

    // Until the first scrape the gateway counts as down.
    eventually("every rule was evaluated, and no alert is raised", || async {
        rules_with(&prometheus, "health", "unknown").await.is_empty()
            && !prometheus.query("up == 1").await.is_empty()
            && prometheus.query("ALERTS").await.is_empty()
    })
    .await;

    let rules = prometheus.rules().await;
    assert!(rules.len() > 20, "{rules:?}");
    assert_eq!(rules_with(&prometheus, "health", "ok").await.len(), rules.len(), "{rules:?}");
}

#[tokio::test]
async fn an_open_breaker_raises_its_alert() {
    let provider = "breaker = { failures = 1, cooldown = \"1m\" }\n".to_owned();
    let gateway = Harness::start(Setup { provider, ..Setup::default() }).await;
    let prometheus = Prometheus::scraping(gateway.ops).await;

    gateway.provider(Kind::Avista).queue(Fault::on_any(FaultKind::status(500)).times(2));
    gateway.balance(Kind::Avista).await.assert_problem(502, "provider_error");

    let raised = "ALERTS{alertname=\"BalanceGatewayBreakerOpen\", provider=\"avista\"}";
    eventually("the alert is raised", || async { !prometheus.query(raised).await.is_empty() }).await;
    assert_eq!(prometheus.query("ALERTS{alertname=\"BalanceGatewayBreakerOpen\"}").await.len(), 1);
}

#[tokio::test]
async fn an_unreachable_store_raises_its_alert() {
    let gateway = with_levels().await;
    let prometheus = Prometheus::scraping(gateway.ops).await;

    // It fires after five minutes.
    let raised = "ALERTS{alertname=\"BalanceGatewayAlone\", alertstate=\"pending\"}";
    eventually("the alert is raised", || async { !prometheus.query(raised).await.is_empty() }).await;
    assert!(prometheus.query("ALERTS{alertname=~\"BalanceGatewayStore.*\"}").await.is_empty());
}

/// The amount set at the provider, and the account's alerts that are firing or pending.
const RAISED: [(&str, &str, &[&str]); 8] = [
    ("netBalance", "499.99", &["BalanceCriticallyLow"]),
    ("netBalance", "500.00", &["BalanceLow"]),
    ("netBalance", "1999.99", &["BalanceLow"]),
    ("netBalance", "2000.00", &[]),
    ("netBalance", "10000.01", &["BalanceHigh"]),
    ("netBalance", "10000.00", &[]),
    ("blockedBalance", "24367.46", &["BalanceBlockedShareHigh"]),
    ("blockedBalance", "24367.45", &[]),
];

#[tokio::test]
async fn each_alert_level_raises_its_alert_one_cent_beyond_its_threshold() {
    let gateway = with_levels().await;
    let prometheus = Prometheus::scraping(gateway.ops).await;
    for (field, amount, alerts) in RAISED {
        gateway.provider(Kind::NtxpayBr).set_field("BRL", None, field, amount);
        let new = [("cache-control", "no-cache")];
        assert_eq!(gateway.get_with("/v1/accounts/levels-ntxpay-br/balance", &new).await.status, 200);

        eventually(&format!("{alerts:?} for {field} {amount}"), || async {
            let raised = prometheus.query("ALERTS{account=\"levels-ntxpay-br\"}").await;
            let names: Vec<_> = raised.iter().map(|alert| text(&alert["metric"]["alertname"])).collect();
            names == alerts
        })
        .await;
    }
}

#[test]
fn the_dashboard_takes_its_data_source_from_a_variable() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);

    assert!(panels.len() > 20);
    for panel in &panels {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(
        variables.iter().any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource")
    );
}

#[test]
fn panels_of_the_dashboard_have_unique_ids_and_do_not_overlap() {
    let dashboard = dashboard();
    let all = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    let cells: Vec<(u64, u64)> = all.iter().flat_map(|panel| cells(&panel["gridPos"])).collect();

    assert_eq!(ids.len(), all.len());
    assert_eq!(cells.iter().collect::<BTreeSet<_>>().len(), cells.len());
}

/// The cells of the grid, 24 columns wide, that a panel covers.
fn cells(position: &Value) -> Vec<(u64, u64)> {
    let [x, y, width, height] = ["x", "y", "w", "h"].map(|side| position[side].as_u64().unwrap());
    assert!(x + width <= 24, "{position}");
    (x..x + width).flat_map(|column| (y..y + height).map(move |row| (column, row))).collect()
}
