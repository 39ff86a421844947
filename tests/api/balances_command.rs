//! The command `balances` against a running gateway: its output and its exit code.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use balance_gateway::sandbox::{Fault, FaultKind, Kind};

use crate::harness::{Harness, KEY, Setup};
use crate::process::{command, run};

/// Runs the command to its end while the gateway answers.
async fn balances(url: String, further: &'static [&'static str]) -> (Option<i32>, String, String) {
    let arguments = move || {
        let arguments = [["balances", "--url", &url].as_slice(), further].concat();
        run(&arguments)
    };
    tokio::task::spawn_blocking(arguments).await.unwrap()
}

fn url(gateway: &Harness) -> String {
    format!("http://{}", gateway.api)
}

#[tokio::test]
async fn a_table_shows_every_balance() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).set_field("BRL", None, "netBalance", "1234567.80");

    let (code, table, complaints) = balances(url(&gateway), &["--key", KEY]).await;

    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    assert_eq!(lines.len(), 1 + 6 + 2, "{table}");
    assert_eq!(lines[8], "All 6 balances available.");
    let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[2][..3], ["ntxpay-br-demo", "BRL", "1,234,567.80"]);
    assert_eq!(words[5][..5], ["pluggo-demo", "BTC", "CRYPTO", "0.12345678", "0.00100000"]);
    let points: Vec<_> = lines[1..7].iter().map(|line| line.find('.').unwrap()).collect();
    assert!(points.iter().all(|point| *point == points[0]), "{table}");
    assert!(!table.contains('\x1b'), "no colour outside a terminal");
}

#[tokio::test]
async fn json_is_printed_unchanged_and_the_key_may_come_from_the_environment() {
    let gateway = Harness::usual().await;
    let body = gateway.get("/v1/balances").await.body;
    let mut asking = command(&["balances", "--json", "--url", &url(&gateway)]);
    asking.env("BALANCE_GATEWAY_KEY", KEY);

    let output = tokio::task::spawn_blocking(move || asking.output().unwrap()).await.unwrap();

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), body);
}

#[tokio::test]
async fn a_missing_balance_is_named_and_the_exit_code_is_1() {
    let gateway = Harness::usual().await;
    let fault = FaultKind::Status { status: 429, retry_after: Some("20".into()), body: None };
    gateway.provider(Kind::NtxpayMx).queue(Fault::on_balance(fault));

    let (code, table, _) = balances(url(&gateway), &["--key", KEY]).await;
    let (json_code, json, _) = balances(url(&gateway), &["--key", KEY, "--json"]).await;

    assert_eq!((code, json_code), (Some(1), Some(1)));
    let line = table.lines().find(|line| line.starts_with("ntxpay-mx-demo")).unwrap();
    assert!(line.contains("provider_busy: The provider accepts no more calls now; retry in"), "{line}");
    assert!(table.ends_with("1 of 6 balances is missing.\n"), "{table}");
    assert!(json.contains("\"complete\":false"));
}

#[tokio::test]
async fn every_error_says_what_to_do() {
    let limit = "limit = { requests = 1, per = \"1m\", burst = 6 }\n";
    let gateway = Harness::start(Setup { caller: limit.into(), ..Setup::default() }).await;
    balances(url(&gateway), &["--key", KEY]).await;
    let here = url(&gateway);

    for (url, key, code, said) in [
        (
            here.clone(),
            ["--key", KEY].as_slice(),
            1,
            "Too many requests (429 rate_limited): rate limit exceeded for this caller; retry in ",
        ),
        (here.clone(), &["--key", "wrong"], 1, "the gateway does not know this key (401)"),
        (here.clone(), &["--key", "two\nlines"], 2, "the key has characters that cannot be sent"),
        (here, &[], 2, "--key <KEY>"),
        (format!("http://{}", gateway.ops), &["--key", KEY], 1, "answered 404, but not as a balance gateway"),
        (
            "http://127.0.0.1:1".into(),
            &["--key", KEY],
            1,
            "no answer from http://127.0.0.1:1: Connection refused",
        ),
        ("ftp://127.0.0.1".into(), &["--key", KEY], 2, "the URL must begin with http:// or https://"),
        ("nowhere".into(), &["--key", KEY], 2, "--url <URL>"),
    ] {
        let (ended, printed, complaints) = balances(url, key).await;

        assert!(complaints.contains(said), "{complaints} does not say {said}");
        assert_eq!((ended, printed.as_str()), (Some(code), ""), "{complaints}");
    }
}

#[tokio::test]
async fn watch_prints_repeatedly() {
    let gateway = Harness::usual().await;
    let mut watching = command(&["balances", "--watch", "--key", KEY, "--url", &url(&gateway)]);
    let mut child = watching.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();

    let tables = tokio::task::spawn_blocking(move || {
        lines.by_ref().filter(|line| line.as_ref().unwrap().starts_with("ACCOUNT")).take(2).count()
    });

    assert_eq!(tables.await.unwrap(), 2);
    assert!(child.try_wait().unwrap().is_none(), "it continues");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_terminal_gets_colours_and_each_table_replaces_the_last() {
    let gateway = Harness::usual().await;
    let watch = format!(
        "{} balances --watch --key {KEY} --url {}",
        env!("CARGO_BIN_EXE_balance-gateway"),
        url(&gateway)
    );
    // `script` runs a command on a pseudo-terminal.
    let mut watching = std::process::Command::new("timeout");
    watching.args(["12", "script", "-qec", &watch, "/dev/null"]).stdin(Stdio::null());

    let output = tokio::task::spawn_blocking(move || watching.output().unwrap()).await.unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\x1b[32mok\x1b[0m"), "{text:?}");
    assert!(text.matches("\x1b[H\x1b[J").count() >= 2, "{text:?}");
}
