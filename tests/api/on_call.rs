//! From a low balance at a provider to the person on call, through a real Prometheus and a real Alertmanager with the
//! shipped rules and routes. `--nocapture` shows how long each notification takes.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use balance_gateway::sandbox::Kind;
use serde_json::{Value, json};

use crate::alertmanager::{Alertmanager, Receiver};
use crate::harness::{Harness, Setup, eventually, eventually_within};
use crate::prometheus::Prometheus;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus/alertmanager.yml");
/// Longer than Prometheus takes until its first scrape.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);
const PROVIDERS: [Kind; 2] = [Kind::NtxpayBr, Kind::Avista];
const LEVELS: &str = r#"
[accounts.low-ntxpay-br]
provider = "ntxpay-br"
token = { env = "NTXPAY_BR_TOKEN" }
watch = "1s"
alerts = { critical = "500.00" }
[accounts.low-avista]
provider = "avista"
token = { env = "AVISTA_TOKEN" }
watch = "1s"
alerts = { critical = "500.00" }
"#;

async fn watched() -> Harness {
    let gateway = Harness::start(Setup { further: LEVELS.to_owned(), ..Setup::default() }).await;
    for kind in PROVIDERS {
        let evaluated =
            format!("alert_active{{account=\"low-{kind}\",currency=\"BRL\",type=\"\",level=\"critical\"}}");
        eventually("the watch has read the balance", || async {
            gateway.metric(&evaluated).await == Some(0.0)
        })
        .await;
    }
    gateway
}

fn set_available(gateway: &Harness, amount: &str) -> Instant {
    for kind in PROVIDERS {
        gateway.provider(kind).set_field("BRL", None, "netBalance", amount);
    }
    Instant::now()
}

/// The accounts that a webhook's notification lists with this status.
fn accounts<'a>(body: &'a Value, status: &str) -> BTreeSet<&'a str> {
    let alerts = body["alerts"].as_array().unwrap().iter();
    let alerts = alerts.filter(|alert| alert["status"] == status);
    alerts.map(|alert| alert["labels"]["account"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_critically_low_balance_reaches_the_treasury_as_one_notification_and_so_does_its_end() {
    let receiver = Receiver::start().await;
    let alertmanager = Alertmanager::notifying(&receiver).await;
    let gateway = watched().await;
    let prometheus = Prometheus::alerting(gateway.ops, alertmanager.addr).await;
    let scrapes = || async { !prometheus.query("up == 1").await.is_empty() };
    eventually_within(TEST_TIMEOUT, "Prometheus scrapes", scrapes).await;

    let fell = set_available(&gateway, "499.99");
    let firing = receiver.until("/treasury", |body| body["status"] == "firing").await;
    let chat = receiver.until("/slack-treasury", |_| true).await;
    let rose = set_available(&gateway, "500.00");
    let resolved = receiver.until("/treasury", |body| body["status"] == "resolved").await;

    let took = [firing.at - fell, resolved.at - rose];
    eprintln!("from the provider to the receiver: {:.1?} firing, {:.1?} resolved", took[0], took[1]);
    let both = BTreeSet::from(["low-avista", "low-ntxpay-br"]);
    assert_eq!(accounts(&firing.body, "firing"), both, "one notification for both accounts: {firing:?}");
    // An evaluation may come between the reads of two accounts: then the alerts are resolved one after the other.
    let on_call = receiver.on("/treasury");
    let ended: BTreeSet<_> =
        on_call.iter().flat_map(|notification| accounts(&notification.body, "resolved")).collect();
    assert_eq!(ended, both, "{on_call:?}");
    assert!(on_call.len() <= 3, "{on_call:?}");
    let labels = json!({"alertname": "BalanceCriticallyLow", "namespace": "payments"});
    assert_eq!(firing.body["groupLabels"], labels);
    let attachment = &chat.body["attachments"][0];
    assert_eq!(attachment["title"], "FIRING (2): BalanceCriticallyLow");
    let text = attachment["text"].as_str().unwrap();
    assert!(text.contains("The BRL balance of low-avista is below its critical level."), "{text}");
    let paths: BTreeSet<_> = receiver.received().into_iter().map(|notification| notification.path).collect();
    assert_eq!(paths, BTreeSet::from(["/slack-treasury".to_owned(), "/treasury".to_owned()]));
}

fn alert(name: &str, labels: &Value) -> Value {
    let mut labels = labels.clone();
    labels["alertname"] = name.into();
    json!({"labels": labels, "annotations": {"summary": "S.", "description": "D."}})
}

#[tokio::test]
async fn an_open_breaker_silences_the_other_alerts_of_its_provider_only() {
    let receiver = Receiver::start().await;
    let alertmanager = Alertmanager::notifying(&receiver).await;
    let of = |provider: &str, namespace: &str| json!({"provider": provider, "namespace": namespace});

    alertmanager
        .post(&json!([
            alert("BalanceGatewayBreakerOpen", &of("avista", "payments")),
            alert("BalanceGatewayProviderErrors", &of("avista", "payments")),
            alert("BalanceGatewayProviderSlow", &of("avista", "payments")),
            alert("BalanceGatewayServedAgeNearCeiling", &of("avista", "payments")),
            alert("BalanceGatewayProviderErrors", &of("pluggo", "payments")),
            alert("BalanceGatewayProviderErrors", &of("avista", "staging")),
            alert("BalanceGatewayCredentialsRefused", &of("avista", "payments")),
        ]))
        .await;

    let suppressed = || async {
        let mut alerts = alertmanager.alerts().await;
        alerts.retain(|alert| alert["status"]["state"] == "suppressed");
        let names = alerts.iter().map(|alert| {
            let label = |name: &str| alert["labels"][name].as_str().unwrap().to_owned();
            [label("alertname"), label("provider"), label("namespace")].join(" ")
        });
        names.collect::<BTreeSet<_>>()
    };
    let expected = BTreeSet::from([
        "BalanceGatewayProviderErrors avista payments".to_owned(),
        "BalanceGatewayProviderSlow avista payments".to_owned(),
        "BalanceGatewayServedAgeNearCeiling avista payments".to_owned(),
    ]);
    eventually("three alerts are suppressed", || async { suppressed().await == expected }).await;
}

#[test]
fn each_severity_of_each_team_has_its_receiver() {
    for (labels, receiver) in [
        (&["severity=critical", "team=treasury"][..], "treasury-on-call"),
        (&["severity=warning", "team=treasury"], "treasury"),
        (&["severity=info", "team=treasury"], "treasury"),
        (&["severity=critical"], "platform-on-call"),
        (&["severity=warning"], "platform"),
        (&["severity=info"], "platform"),
    ] {
        let mut amtool = Command::new("amtool");
        amtool.args(["config", "routes", "test", "--config.file", CONFIG]).args(labels);
        let output =
            amtool.output().expect("amtool is needed: install the Debian package prometheus-alertmanager");

        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), receiver, "{labels:?}");
    }
}
