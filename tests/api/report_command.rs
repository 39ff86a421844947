//! The command `report` against a running gateway: its files and its exit code. Also how `report` and `balances`
//! connect to a gateway with a private CA or mutual TLS.

use std::fs;

use balance_gateway::sandbox::{Fault, FaultKind, Kind};

use crate::harness::{Harness, KEY, Setup};
use crate::process::{Folder, command};
use crate::tls::{self, Authority};

/// Runs a command to its end while the gateway answers: exit code, output, complaints.
async fn ask(arguments: &[&str], variables: &[(&'static str, String)]) -> (Option<i32>, String, String) {
    let mut asking = command(arguments);
    asking.envs(variables.iter().cloned()).env("BALANCE_GATEWAY_KEY", KEY);
    let output = tokio::task::spawn_blocking(move || asking.output().unwrap()).await.unwrap();
    let [printed, complaints] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), printed, complaints)
}

async fn report(gateway: &Harness, further: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{}", gateway.api);
    ask(&[["report", "--url", &url].as_slice(), further].concat(), &[]).await
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The body without the values that differ between two reports.
fn without_times(body: &str) -> String {
    let mut report: serde_json::Value = serde_json::from_str(body).unwrap();
    report["report_date"].take();
    for balance in report["balances"].as_array_mut().unwrap() {
        balance["fetched_at"].take();
        balance["observed_at"].take();
    }
    report.to_string()
}

#[tokio::test]
async fn a_report_is_written_as_it_came_under_the_name_of_its_day() {
    let (gateway, folder) = (Harness::usual().await, Folder::new());
    let path = folder.0.to_str().unwrap();

    let json = report(&gateway, &["--output", path]).await;
    let csv = report(&gateway, &["--format", "csv", "--output", path]).await;

    assert_eq!([json, csv], [(); 2].map(|()| (Some(0), String::new(), String::new())));
    let names = names(&folder);
    assert_eq!(names.len(), 2, "{names:?}");
    let json = fs::read_to_string(folder.0.join(&names[1])).unwrap();
    let date: serde_json::Value = serde_json::from_str(&json).unwrap();
    let day = date["report_date"].as_str().unwrap()[..10].replace('-', "");
    assert_eq!(names[1], format!("reconciliation_{day}.json"));
    assert_eq!(without_times(&json), without_times(&gateway.get("/v1/reconciliation").await.body));
    let csv = fs::read_to_string(folder.0.join(&names[0])).unwrap();
    let csv_day =
        names[0].strip_prefix("reconciliation_").and_then(|rest| rest.strip_suffix(".csv")).unwrap();
    assert!(csv_day.len() == 8 && csv_day.parse::<u32>().is_ok(), "{names:?}");
    assert!(csv.starts_with("account,provider,currency,type,available,") && csv.ends_with("\r\n"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + 6);
}

#[tokio::test]
async fn the_csv_of_the_api_proposes_the_name_of_its_day() {
    let gateway = Harness::usual().await;

    let csv = gateway.get_with("/v1/reconciliation", &[("accept", "text/csv")]).await;
    let json = gateway.get("/v1/reconciliation").await;

    let day = json.json()["report_date"].as_str().unwrap()[..10].replace('-', "");
    assert_eq!(
        csv.header("content-disposition"),
        format!("attachment; filename=\"reconciliation_{day}.csv\"")
    );
    assert_eq!(json.header("content-disposition"), "");
}

#[tokio::test]
async fn without_output_the_report_is_printed() {
    let gateway = Harness::usual().await;

    let (code, printed, complaints) = report(&gateway, &[]).await;

    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    assert_eq!(without_times(&printed), without_times(&gateway.get("/v1/reconciliation").await.body));
    assert!(printed.ends_with('}'), "no byte is added to the body");
}

#[tokio::test]
async fn an_incomplete_report_is_written_and_the_exit_code_is_1() {
    for format in ["json", "csv"] {
        let (gateway, folder) = (Harness::usual().await, Folder::new());
        let file = folder.0.join("mine");
        let busy = FaultKind::Status { status: 429, retry_after: Some("20".into()), body: None };
        gateway.provider(Kind::NtxpayMx).queue(Fault::on_balance(busy));

        let output = ["--format", format, "--output", file.to_str().unwrap()];
        let (code, printed, complaints) = report(&gateway, &output).await;

        assert_eq!((code, printed.as_str()), (Some(1), ""));
        assert!(complaints.starts_with("balance-gateway: missing: ntxpay-mx-demo"), "{complaints}");
        assert!(complaints.ends_with(": provider_busy\n"), "{complaints}");
        assert!(fs::read_to_string(file).unwrap().contains("provider_busy"));
        assert_eq!(names(&folder), ["mine"]);
    }
}

#[tokio::test]
async fn a_failed_command_leaves_the_old_report_unchanged() {
    let (gateway, folder) = (Harness::usual().await, Folder::new());
    let file = folder.write("report", "old");
    let (here, ops) = (format!("http://{}", gateway.api), format!("http://{}", gateway.ops));
    let nowhere = format!("{}/missing/report", folder.0.display());
    for (arguments, code, said) in [
        (&["--url", "http://127.0.0.1:1", "--output", &file][..], 1, "no answer from http://127.0.0.1:1"),
        (&["--url", &ops, "--output", &file], 1, "answered 404, but not as a balance gateway"),
        (&["--url", &here, "--key", "wrong", "--output", &file], 1, "does not know this key (401)"),
        (&["--url", &here, "--output", &nowhere], 1, "missing/report: No such file or directory"),
        (&["--url", &here, "--format", "xml"], 2, "--format <FORMAT>"),
        (&["--url", &here, "--certificate", &file], 2, "--private-key <FILE>"),
        (&["--url", "ftp://127.0.0.1"], 2, "the URL must begin with http:// or https://"),
        (&["--url", "https://127.0.0.1:1", "--ca", "/missing"], 2, "/missing: No such file or directory"),
        (&["--url", "https://127.0.0.1:1", "--ca", &file], 2, "/report: holds no certificate in PEM"),
    ] {
        let (ended, printed, complaints) = ask(&[&["report"], arguments].concat(), &[]).await;

        assert!(complaints.contains(said), "{arguments:?}: {complaints} does not say {said}");
        assert_eq!((ended, printed.as_str()), (Some(code), ""), "{arguments:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(names(&folder), ["report"]);
}

#[tokio::test]
async fn a_private_ca_and_a_client_certificate_reach_the_gateway() {
    let (folder, authority, clients) = (Folder::new(), Authority::new(), Authority::new());
    let server = tls::lines(&folder, &authority, Some(&clients));
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;
    let url = format!("https://localhost:{}", gateway.api.port());
    let (certificate, key) = clients.sign();
    let [ca, certificate, key] =
        [("server-ca.crt", authority.pem()), ("client.crt", certificate), ("client.key", key)]
            .map(|(name, text)| folder.write(name, &text));
    let with_ca = vec![("SSL_CERT_FILE", ca.clone())];
    for name in ["report", "balances"] {
        let identity = ["--certificate", &certificate, "--private-key", &key];
        for (arguments, variables, code, said) in [
            (&[&["--ca", &ca][..], &identity].concat()[..], &[][..], 0, ""),
            (&identity, &with_ca, 0, ""),
            (&identity, &[], 1, "UnknownIssuer (name its CA with --ca)"),
            (&["--ca", &ca], &[], 1, "no answer from https://localhost"),
        ] {
            let (ended, _, complaints) = ask(&[&[name, "--url", &url], arguments].concat(), variables).await;

            assert!(complaints.contains(said), "{name} {arguments:?}: {complaints}");
            assert_eq!(ended, Some(code), "{name} {arguments:?}: {complaints}");
        }
    }
}
