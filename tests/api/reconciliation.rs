//! The reconciliation report: its findings, sums, freshness demand, JSON and CSV.

mod formats;

use std::io::Write;
use std::process::{Command, Stdio};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use serde_json::{Value, json};

use crate::harness::{Harness, KEY, Reply, SWITCHED_OFF, Setup, digest};

const PATH: &str = "/v1/reconciliation";
const BRAZIL: &str = "/v1/reconciliation?account=ntxpay-br-demo";
const KIND: Kind = Kind::NtxpayBr;

const ALERTS: &str = r#"
[accounts.alerted]
provider = "ntxpay-br"
token = { env = "NTXPAY_BR_TOKEN" }
alerts = { critical = "50000", high = "40000", blocked_ratio = "0" }
"#;

/// A script that compares a report in CSV with the same report in JSON: every row, every digit.
const COMPARE: &str = r#"
import csv, io, json, sys
given = json.load(sys.stdin)
report, text = json.loads(given["json"], parse_float=str, parse_int=str), given["csv"]
assert text.endswith("\r\n") and text.count("\n") == text.count("\r\n")
rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
columns = ("account,provider,currency,type,available,blocked,reserved,processing,total,status,"
           "blocked_percentage,alerts,observed_at,fetched_at,error").split(",")
def cell(value):
    return "" if value is None else " ".join(value) if isinstance(value, list) else value
expected = [{name: cell(item.get(name)) for name in columns} for item in report["balances"]]
for item in report["errors"]:
    problem = item["problem"]
    expected.append({name: cell({**item, "provider": problem.get("provider"), "error": problem["code"]}.get(name))
                     for name in columns})
assert rows == expected, f"{rows}\n{expected}"
print(len(rows))
"#;

fn compare(report: &Reply, table: &Reply) -> usize {
    let mut python = Command::new("python3")
        .args(["-c", COMPARE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is needed: install the Debian package python3");
    let given = json!({"json": report.body, "csv": table.body}).to_string();
    python.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let said = python.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
}

fn reads(gateway: &Harness) -> usize {
    gateway.calls(KIND, Operation::Balance).len()
}

/// Account and code of each failed balance.
fn errors(report: &Value) -> Vec<(&str, &str)> {
    let errors = report["errors"].as_array().unwrap().iter();
    errors
        .map(|item| (item["account"].as_str().unwrap(), item["problem"]["code"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn the_report_is_exactly_as_documented() {
    let setup = Setup { further: ALERTS.to_owned(), has_static_tokens: true, ..Setup::default() };
    let gateway = Harness::start(setup).await;
    let fixed = Some(r#""2025-11-19T20:18:29.384Z""#.to_owned());
    gateway.provider(KIND).set_timestamp(fixed);
    gateway.provider(KIND).set_field("BRL", None, "blockedBalance", "150.10");
    gateway.provider(KIND).set_field("BRL", None, "grossBalance", "48885.00");
    gateway.provider(Kind::NtxpayMx).queue(Fault::on_balance(FaultKind::status(400)));

    let reply = gateway.get(&format!("{BRAZIL}&account=alerted&account=ntxpay-mx-demo&account=nobody")).await;

    let report = reply.json();
    let fetched = |index: usize| report["balances"][index]["fetched_at"].as_str().unwrap();
    let balance = |account: &str, fetched: &str, alerts: &str| {
        format!(
            r#"{{"account":"{account}","provider":"ntxpay-br","currency":"BRL","type":null,"available":"48734.90","blocked":"150.10","reserved":null,"processing":null,"total":"48885.00","reported":{{"grossBalance":"48885.00","blockedBalance":"150.10","netBalance":"48734.90"}},"observed_at":"2025-11-19T20:18:29.384Z","fetched_at":"{fetched}","status":"OK","blocked_percentage":"0.31","alerts":[{alerts}]}}"#
        )
    };
    let expected = format!(
        r#"{{"report_date":"{}","complete":false,"balances":[{},{}],"sums":[{{"currency":"BRL","available":"97469.80","balances":2}}],"errors":{}}}"#,
        report["report_date"].as_str().unwrap(),
        balance("alerted", fetched(0), r#""critical","high","high_blocked""#),
        balance("ntxpay-br-demo", fetched(1), ""),
        report["errors"]
    );
    // serde_json's map does not keep the order of the members of errors.
    let head = expected.split_once(r#""errors":"#).unwrap().0;
    assert!(reply.body.starts_with(head), "{}\n{head}", reply.body);
    assert_eq!(errors(&report), [("nobody", "account_not_found"), ("ntxpay-mx-demo", "provider_error")]);
    assert_eq!(report["errors"][1]["currency"], "MXN");
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!((reply.header("cache-control"), reply.header("age")), ("no-store", "1"));
    assert_eq!((reply.header("vary"), reply.header("etag")), ("Accept", ""));
    let arrived: jiff::Timestamp = report["report_date"].as_str().unwrap().parse().unwrap();
    assert!(fetched(0).parse::<jiff::Timestamp>().unwrap() >= arrived);
}

#[tokio::test]
async fn each_balance_has_a_status_and_a_blocked_percentage() {
    let gateway = Harness::usual().await;
    for (net, blocked, gross, status, percentage) in [
        ("0.01", "0.00", "0.01", "OK", Some("0.00")),
        ("0.00", "5", "5.00", "ALERT", Some("100.00")),
        ("-1", "5", "4", "ALERT", Some("125.00")),
        ("2", "1", "3", "OK", Some("33.33")),
        ("1", "2", "3", "OK", Some("66.67")),
        // Halves are rounded to even.
        ("99.875", "0.125", "100", "OK", Some("0.12")),
        ("99.865", "0.135", "100", "OK", Some("0.14")),
        ("1", "1", "0", "OK", None),
        ("1", "1", "-2", "OK", None),
        ("1", "79228162514264337593543950335", "1", "OK", None),
    ] {
        for (field, value) in [("netBalance", net), ("blockedBalance", blocked), ("grossBalance", gross)] {
            gateway.provider(KIND).set_field("BRL", None, field, value);
        }

        let report = gateway.get(BRAZIL).await.json();

        let balance = &report["balances"][0];
        assert_eq!(
            (&balance["status"], &balance["blocked_percentage"]),
            (&json!(status), &json!(percentage))
        );
    }
    for kind in [Kind::Pluggo, Kind::NtxpayMx] {
        let report = gateway.get(&format!("{PATH}?account={kind}-demo")).await.json();
        assert_eq!(report["balances"][0]["blocked_percentage"], Value::Null, "{kind} reports no total");
    }
}

#[tokio::test]
async fn sums_are_exact_and_cover_only_the_balances_that_were_read() {
    let gateway = Harness::usual().await;
    gateway.provider(KIND).set_field("BRL", None, "netBalance", "9007199254740993.015");
    gateway.provider(Kind::NtxpayMx).queue(Fault::on_balance(FaultKind::status(400)));

    let report = gateway.get(PATH).await.json();

    assert_eq!(
        report["sums"],
        json!([
            {"currency": "BRL", "available": "9007199254762244.015", "balances": 3},
            {"currency": "BTC", "available": "0.12345678", "balances": 1},
            {"currency": "USD", "available": "310.20", "balances": 1},
        ])
    );
    assert_eq!((&report["complete"], errors(&report).len()), (&json!(false), 1));

    gateway.provider(KIND).set_field("BRL", None, "netBalance", "79228162514264337593543950335");
    let report = gateway.get(PATH).await.json();
    assert_eq!(report["sums"][0], json!({"currency": "BRL", "available": null, "balances": 3}));
    // An intermediate sum may be too large although the final sum fits.
    gateway.provider(Kind::Avista).set_field("BRL", None, "netBalance", "-79228162514264337593543950335");
    let report = gateway.get(PATH).await.json();
    assert_eq!(report["sums"][0], json!({"currency": "BRL", "available": "1250.75", "balances": 3}));
}

/// Query and directive of a request, whether the cache may answer it, and the expected status.
const DEMANDS: [(&str, &str, bool, u16); 10] = [
    ("", "", false, 200),
    ("", "no-cache", false, 200),
    ("", "max-age=60", true, 200),
    ("", "max-age=x", false, 200),
    ("", "min-fresh=5", true, 200),
    ("", "min-fresh=11", false, 200),
    ("", "only-if-cached", true, 200),
    ("", "stale-if-error", false, 200),
    ("&not_before=2020-01-01T00:00:00Z", "", true, 200),
    ("&not_before=yesterday", "", true, 400),
];

#[tokio::test]
async fn every_balance_is_read_again_unless_the_request_allows_an_age() {
    let gateway = Harness::usual().await;
    gateway.balance(KIND).await;
    for (query, directives, is_cached, status) in DEMANDS {
        let before = reads(&gateway);

        let reply = gateway.get_with(&format!("{BRAZIL}{query}"), &[("cache-control", directives)]).await;

        assert_eq!(reply.status, status, "{query} {directives}");
        assert_eq!(reads(&gateway) - before, usize::from(!is_cached), "{query} {directives}");
    }
    let cold = gateway.get_with(PATH, &[("cache-control", "only-if-cached")]).await.json();
    assert!(errors(&cold).iter().all(|(_, code)| *code == "not_cached"));
    assert_eq!((errors(&cold).len(), cold["balances"].as_array().unwrap().len()), (5, 1));
}

#[tokio::test]
async fn the_reports_own_demand_counts_for_stale_if_error_and_the_forced_limit() {
    let caller = "forced = { requests = 2, per = \"1h\", burst = 2 }\n".to_owned();
    let gateway = Harness::start(Setup { caller, ..Setup::default() }).await;
    assert_eq!(gateway.get(BRAZIL).await.json()["complete"], true);
    let forced = "forced_reads_total{caller=\"all\"}";
    assert_eq!(gateway.count(forced).await, 0, "nothing was cached");
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::status(400)));

    let served = gateway.get_with(BRAZIL, &[("cache-control", "stale-if-error")]).await.json();
    let held = gateway.get(BRAZIL).await.json();

    assert_eq!((&served["complete"], served["balances"].as_array().unwrap().len()), (&json!(true), 1));
    assert_eq!(errors(&held), [("ntxpay-br-demo", "provider_error")]);
    assert_eq!(gateway.count(forced).await, 1, "a read that the hold refuses gives its unit back");
    gateway.until(BRAZIL, "a read after the hold", |reply| reply.json()["complete"] == true).await;
    assert_eq!(gateway.count(forced).await, 2);
    let refused = gateway.get(BRAZIL).await.json();
    assert_eq!(errors(&refused), [("ntxpay-br-demo", "rate_limited")]);
    let allowed = gateway.get_with(BRAZIL, &[("cache-control", "max-age=60")]).await.json();
    assert_eq!(allowed["complete"], true, "no demand, no unit");
}

#[tokio::test]
async fn a_slow_provider_does_not_remove_the_rows_of_others() {
    let gateway = Harness::usual().await;
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Delay { ms: 3000 }));

    let reply = gateway.get_with(PATH, &[("prefer", "wait=1")]).await;

    let report = reply.json();
    assert_eq!(errors(&report), [("ntxpay-br-demo", "deadline_exceeded")]);
    assert_eq!(report["balances"].as_array().unwrap().len(), 5);
    assert_eq!(reply.header("preference-applied"), "wait=1");
}

#[tokio::test]
async fn the_age_of_a_report_is_the_age_of_its_oldest_balance() {
    let gateway = Harness::usual().await;
    let headers = vec![("Age".to_owned(), "30".to_owned())];
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Headers { headers }));

    let reply = gateway.get_with(PATH, &[("cache-control", "max-age=60")]).await;
    let nothing = gateway.get(&format!("{PATH}?account=nobody")).await;

    assert_eq!((reply.status, reply.header("age")), (200, "31"));
    assert_eq!((nothing.status, nothing.header("age")), (200, ""));
}

#[tokio::test]
async fn refusals_come_in_the_documented_order_and_a_report_costs_a_unit_per_balance() {
    let key = "bgk_test-key-of-a-caller-with-nine-units";
    let caller = format!(
        "[callers.nine]\nkeys_sha256 = [\"{}\"]\naccounts = [\"ntxpay-*\", \"avista-demo\"]\n\
         limit = {{ requests = 9, per = \"1h\", burst = 9 }}\n",
        digest(key)
    );
    let gateway = Harness::start(Setup { further: caller, ..Setup::default() }).await;
    let refused = async |method: &str, path: &str, accept: &str, status, code| {
        let reply = gateway.send(method, path, Some(key), &[("accept", accept)]).await;
        reply.assert_problem(status, code);
    };

    gateway.send("GET", PATH, None, &[("accept", "text/html")]).await.assert_problem(401, "unauthenticated");
    refused("POST", PATH, "text/html", 405, "method_not_allowed").await;
    refused("GET", "/v1/reconciliation?provider=x", "text/html", 406, "not_acceptable").await;
    refused("GET", "/v1/reconciliation?provider=x", "*/*", 400, "invalid_request").await;
    // Three units are used, and the caller may read three balances.
    let report = gateway.send("GET", PATH, Some(key), &[]).await;
    assert_eq!((report.status, report.json()["balances"].as_array().unwrap().len()), (200, 3));
    assert_eq!(report.header("ratelimit"), "\"caller\";r=3;t=400, \"forced\";r=1;t=0");
    let unknown = gateway.send("GET", "/v1/reconciliation?account=a&account=b", Some(key), &[]).await;
    assert_eq!(
        (unknown.status, unknown.header("ratelimit")),
        (200, "\"caller\";r=1;t=400, \"forced\";r=1;t=0")
    );
    refused("GET", PATH, "*/*", 429, "rate_limited").await;
}
