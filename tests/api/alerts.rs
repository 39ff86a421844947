//! Alert levels at their thresholds, in the report and the metrics, and amounts as gauges.

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use serde_json::{Value, json};

use crate::harness::{Harness, KEY, Setup, eventually};

/// One account per kind, with every level that the kind can have.
pub(crate) const LEVELS: &str = r#"
[accounts.levels-ntxpay-br]
provider = "ntxpay-br"
token = { env = "NTXPAY_BR_TOKEN" }
alerts = { critical = "500.00", warning = "2000.00", high = "10000.00", blocked_ratio = "0.5" }
[accounts.levels-avista]
provider = "avista"
token = { env = "AVISTA_TOKEN" }
alerts = { critical = "500.00", warning = "2000.00", high = "10000.00", blocked_ratio = "0.5" }
[accounts.levels-ntxpay-mx]
provider = "ntxpay-mx"
token = { env = "NTXPAY_MX_TOKEN" }
alerts = { critical = "500.00", warning = "2000.00", high = "10000.00" }
[accounts.levels-pluggo]
provider = "pluggo"
api_key = { env = "PLUGGO_API_KEY" }
session_token = { env = "PLUGGO_SESSION_TOKEN" }
balances = [{ currency = "BRL", alerts = { critical = "500.00", warning = "2000.00", high = "10000.00" } }, { currency = "USD" }, { currency = "BTC", type = "CRYPTO", alerts = { critical = "0.12345678" } }]
"#;

async fn with_levels(further: &str) -> Harness {
    let further = format!("{LEVELS}{further}");
    Harness::start(Setup { further, has_static_tokens: true, ..Setup::default() }).await
}

/// Sets the available amount, in the fields of the kind.
fn set_available(gateway: &Harness, kind: Kind, available: &str) {
    let (currency, field, raw) = match kind {
        Kind::NtxpayBr | Kind::Avista => ("BRL", "netBalance", available.to_owned()),
        Kind::Pluggo => ("BRL", "balance", available.to_owned()),
        Kind::NtxpayMx | Kind::Declared => {
            let centavos: i64 = available.replace('.', "").parse().unwrap();
            ("MXN", "availableCentavos", centavos.to_string())
        }
    };
    gateway.provider(kind).set_field(currency, None, field, &raw);
}

fn currency(kind: Kind) -> &'static str {
    if kind == Kind::NtxpayMx { "MXN" } else { "BRL" }
}

fn series(name: &str, kind: Kind, further: &str) -> String {
    format!("{name}{{account=\"levels-{kind}\",currency=\"{}\",type=\"\"{further}}}", currency(kind))
}

/// The levels of a kind's balance on the metrics page, and whether each is reached.
async fn gauges(gateway: &Harness, kind: Kind) -> Vec<(&'static str, bool)> {
    let mut found = Vec::new();
    for level in ["critical", "warning", "high", "high_blocked"] {
        let value = gateway.metric(&series("alert_active", kind, &format!(",level=\"{level}\""))).await;
        found.extend(value.map(|value| (level, value > 0.5)));
    }
    found
}

/// Reads the balance of a kind again and asserts which levels it reached, in the report and in the gauges.
async fn assert_active(gateway: &Harness, kind: Kind, case: &str, active: &[&str]) {
    let path = format!("/v1/reconciliation?account=levels-{kind}");

    let report = gateway.get(&path).await.json();
    let table = gateway.get_with(&path, &[("accept", "text/csv"), ("cache-control", "max-age=60")]).await;
    let gauges = gauges(gateway, kind).await;

    assert_eq!(report["balances"][0]["alerts"], json!(active), "{kind} {case}: {report}");
    let row: Vec<&str> = table.body.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(row[11], active.join(" "), "{kind} {case}");
    let set = gauges.iter().filter(|(_, is_reached)| *is_reached).map(|(level, _)| *level);
    assert_eq!(set.collect::<Vec<_>>(), active, "{kind} {case}");
    let can_be_blocked = matches!(kind, Kind::NtxpayBr | Kind::Avista);
    assert_eq!(gauges.len(), if can_be_blocked { 4 } else { 3 }, "{kind}: one per configured level");
}

#[tokio::test]
async fn each_level_begins_one_cent_beyond_its_threshold() {
    let gateway = with_levels("").await;
    for kind in Kind::ALL {
        for (available, active) in [
            ("499.99", &["critical"][..]),
            ("500.00", &["warning"]),
            ("500.01", &["warning"]),
            ("1999.99", &["warning"]),
            ("2000.00", &[]),
            ("2000.01", &[]),
            ("9999.99", &[]),
            ("10000.00", &[]),
            ("10000.01", &["high"]),
            ("-0.01", &["critical"]),
        ] {
            set_available(&gateway, kind, available);

            assert_active(&gateway, kind, available, active).await;
        }
    }
}

#[tokio::test]
async fn a_blocked_share_is_high_one_cent_beyond_its_ratio() {
    let gateway = with_levels("").await;
    for kind in [Kind::NtxpayBr, Kind::Avista] {
        set_available(&gateway, kind, "5000.00");
        for (blocked, total, active) in [
            ("4999.99", "10000.00", &[][..]),
            ("5000.00", "10000.00", &[]),
            ("5000.01", "10000.00", &["high_blocked"]),
            ("5000.00", "9999.99", &["high_blocked"]),
            ("0.01", "0.00", &["high_blocked"]),
            ("0.00", "0.00", &[]),
            ("0.01", "-5.00", &["high_blocked"]),
        ] {
            gateway.provider(kind).set_field("BRL", None, "blockedBalance", blocked);
            gateway.provider(kind).set_field("BRL", None, "grossBalance", total);

            assert_active(&gateway, kind, &format!("{blocked} of {total}"), active).await;
        }
    }
}

#[tokio::test]
async fn alert_gauges_exist_after_the_first_evaluation_for_configured_levels_only() {
    let gateway = with_levels("").await;
    let kind = Kind::Pluggo;
    let evaluated = series("alert_evaluated_timestamp_seconds", kind, "");
    let active = |level| series("alert_active", kind, &format!(",level=\"{level}\""));
    assert_eq!((gauges(&gateway, kind).await, gateway.metric(&evaluated).await), (vec![], None));

    let balances = gateway.get("/v1/balances?account=levels-pluggo").await.json();

    assert_eq!(gateway.metric(&active("high")).await, Some(0.0));
    let crypto = "account=\"levels-pluggo\",currency=\"BTC\",type=\"CRYPTO\",level=\"critical\"";
    assert_eq!(gateway.metric(&format!("alert_active{{{crypto}}}")).await, Some(0.0));
    let fetched_at: jiff::Timestamp =
        balances["balances"][0]["fetched_at"].as_str().unwrap().parse().unwrap();
    let seconds = gateway.metric(&evaluated).await.unwrap();
    assert_eq!(format!("{:.0}", seconds * 1000.0), fetched_at.as_millisecond().to_string());
    let page = gateway.operations("/metrics").await.body;
    let of_others = page.lines().filter(|line| {
        line.starts_with("balance_gateway_alert_")
            && !["BRL", "BTC"]
                .iter()
                .any(|currency| line.contains(&format!("account=\"levels-pluggo\",currency=\"{currency}\"")))
    });
    assert_eq!(of_others.collect::<Vec<_>>(), [""; 0], "USD has no levels, and no other balance was read");
}

#[tokio::test]
async fn a_background_refresh_updates_the_levels_and_a_failed_read_does_not() {
    let setup = Setup {
        further: LEVELS.to_owned(),
        provider: "fresh_for = \"1s\"\n".to_owned(),
        has_static_tokens: true,
        ..Setup::default()
    };
    let gateway = Harness::start(setup).await;
    let (kind, path) = (Kind::NtxpayBr, "/v1/accounts/levels-ntxpay-br/balance");
    let high = series("alert_active", kind, ",level=\"high\"");
    assert_eq!(gateway.get(path).await.status, 200);
    assert_eq!(gateway.metric(&high).await, Some(1.0));

    set_available(&gateway, kind, "5000.00");
    gateway.provider(kind).queue(Fault::on_balance(FaultKind::status(400)));
    let failed = gateway.get_with(path, &[("cache-control", "no-cache")]).await;
    assert_eq!((failed.status, gateway.metric(&high).await), (502, Some(1.0)));

    let is_new = |reply: &crate::harness::Reply| reply.json()["available"] == "5000.00";
    gateway.until(path, "the background refresh of a stale answer", is_new).await;
    assert_eq!(gateway.metric(&high).await, Some(0.0));
}

#[tokio::test]
async fn amounts_are_gauges_only_when_configured() {
    let amounts = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| line.starts_with("balance_gateway_balance_amount{"));
        lines.map(str::to_owned).collect()
    };
    let (without, with) = (with_levels("").await, with_levels("[metrics]\nbalances = true\n").await);
    for gateway in [&without, &with] {
        assert_eq!(amounts(&gateway.operations("/metrics").await.body), [""; 0]);
        gateway.get("/v1/balances?account=ntxpay-br-demo&account=pluggo-demo").await;
    }

    assert_eq!(amounts(&without.operations("/metrics").await.body), [""; 0]);
    let page = with.operations("/metrics").await.body;
    assert_eq!(amounts(&page).len(), 3 + 3 * 4);
    for (labels, value) in [
        (
            "account=\"ntxpay-br-demo\",provider=\"ntxpay-br\",currency=\"BRL\",type=\"\",kind=\"available\"",
            48734.9,
        ),
        (
            "account=\"ntxpay-br-demo\",provider=\"ntxpay-br\",currency=\"BRL\",type=\"\",kind=\"total\"",
            48734.9,
        ),
        (
            "account=\"pluggo-demo\",provider=\"pluggo\",currency=\"BTC\",type=\"CRYPTO\",kind=\"available\"",
            0.123_456_78,
        ),
        ("account=\"pluggo-demo\",provider=\"pluggo\",currency=\"BRL\",type=\"\",kind=\"reserved\"", 80.0),
        ("account=\"pluggo-demo\",provider=\"pluggo\",currency=\"BRL\",type=\"\",kind=\"processing\"", 45.5),
    ] {
        assert_eq!(with.metric(&format!("balance_amount{{{labels}}}")).await, Some(value), "{labels}");
    }
}

#[tokio::test]
async fn the_gauge_of_an_expired_amount_is_absent_and_its_levels_stay() {
    let setup = Setup {
        further: format!("{LEVELS}[metrics]\nbalances = true\n"),
        freshness: "fresh_for = \"1s\"\nmax_age = \"1s\"\n".to_owned(),
        has_static_tokens: true,
        ..Setup::default()
    };
    let gateway = Harness::start(setup).await;
    let kind = Kind::NtxpayBr;
    let amount = series("balance_amount", kind, ",provider=\"ntxpay-br\",kind=\"available\"");
    gateway.get("/v1/accounts/levels-ntxpay-br/balance").await;
    assert_eq!(gateway.metric(&amount).await, Some(48734.9));

    eventually("the amount is gone", || async { gateway.metric(&amount).await.is_none() }).await;

    assert_eq!(gauges(&gateway, kind).await.len(), 4);
    assert!(gateway.metric(&series("alert_evaluated_timestamp_seconds", kind, "")).await.is_some());
}

#[tokio::test]
async fn a_balance_without_filters_is_evaluated_in_the_returned_currency() {
    let further = r#"
[accounts.unfiltered]
provider = "pluggo"
api_key = { env = "PLUGGO_API_KEY" }
session_token = { env = "PLUGGO_SESSION_TOKEN" }
balances = [{ alerts = { warning = "1250.76" } }]
"#;
    let gateway = with_levels(further).await;

    let report: Value = gateway.get("/v1/reconciliation?account=unfiltered").await.json();

    assert_eq!(report["balances"][0]["alerts"], json!(["warning"]));
    let labels = "account=\"unfiltered\",currency=\"BRL\",type=\"\",level=\"warning\"";
    assert_eq!(gateway.metric(&format!("alert_active{{{labels}}}")).await, Some(1.0));
    assert_eq!(gateway.send("GET", "/v1/accounts", Some(KEY), &[]).await.status, 200);
}
