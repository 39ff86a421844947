//! The program: its commands, exit codes and shutdown.

mod commands;
mod drain;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::harness::{self, KEY, Reply, digest, eventually, value_of};
use crate::process::{Folder, Gateway, Site, command, exchange, free_address, run, run_on_record};
use crate::tracing::trace_to;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_logs_its_addresses_and_serves() {
    let site = Site::new("").await;

    let gateway = site.serve().await;

    let ready = gateway.find("api").unwrap();
    assert_eq!(ready["event"], "ready");
    assert!(!gateway.api.ends_with(":0") && !gateway.ops.ends_with(":0") && gateway.api != gateway.ops);
    let reply = gateway.get(&gateway.api, "/v1/accounts/treasury/balance").await.unwrap();
    assert_eq!((reply.status, &reply.json()["available"]), (200, &"48734.90".into()));
    assert_eq!(gateway.get(&gateway.ops, "/readyz").await.unwrap().status, 200);
    for line in gateway.output().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_may_name_the_configuration() {
    let site = Site::new("").await;
    let mut command = command(&["check"]);

    let output = command.env("BALANCE_GATEWAY_CONFIG", &site.config).output().unwrap();

    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_line_of_a_request_names_caller_and_account() {
    let site = Site::new("").await;
    let config = fs::read_to_string(&site.config).unwrap();
    site.folder.write("gateway.toml", &format!("{config}[log]\nrequests = true\n"));
    let gateway = site.serve().await;

    for (method, path) in
        [("GET", "balance"), ("GET", "balance?x=1"), ("POST", "invalidate"), ("GET", "sufficiency")]
    {
        let url = format!("http://{}/v1/accounts/treasury/{path}", gateway.api);
        let request = gateway.client.request(method.parse().unwrap(), url).bearer_auth(gateway.key);
        Reply::read(request.send().await.unwrap()).await;
    }

    eventually("each request has a log line", || async { gateway.lines_of("request").len() == 4 }).await;
    let lines = gateway.lines_of("request");
    let said = |field: &str| lines.iter().map(|line| line[field].clone()).collect::<Vec<_>>();
    assert_eq!(said("status"), [200, 400, 200, 400]);
    assert_eq!(said("caller"), ["all"; 4]);
    assert_eq!(said("account"), ["treasury"; 4]);
    assert_eq!(said("outcome"), [Value::from("miss"), Value::Null, Value::Null, Value::Null]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_continue_when_the_log_is_not_read() {
    let site = Site::new("").await;
    let config = fs::read_to_string(&site.config).unwrap();
    let [api, ops] = [free_address(), free_address()];
    let config = config.replacen("127.0.0.1:0", &api, 1).replacen("127.0.0.1:0", &ops, 1);
    site.folder.write("gateway.toml", &format!("{config}[log]\nrequests = true\n"));
    let mut serving = command(&["serve", "--config", &site.config]).spawn().unwrap();
    let mut reader = Command::new("cat");
    reader.stdin(Stdio::from(serving.stdout.take().unwrap())).stdout(Stdio::null());
    let mut reader = reader.spawn().unwrap();
    let client = harness::client().build().unwrap();
    let page = || async { client.get(format!("http://{ops}/metrics")).send().await?.text().await };
    eventually("the gateway serves", || async { page().await.is_ok() }).await;

    let stopped = Command::new("kill").args(["-STOP", &reader.id().to_string()]).status().unwrap();
    let mut stream = TcpStream::connect(&api).await.unwrap();
    let request = format!(
        "GET /v1/accounts/treasury/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    // More than the pipe and the queue of lines can hold.
    for _ in 0..12_000 {
        let answer = exchange(&mut stream, &request).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let page = page().await.unwrap();

    assert!(stopped.success());
    assert!(value_of(&page, "balance_gateway_log_lines_dropped_total").unwrap() > 1000.0, "{page}");
    for child in [&mut serving, &mut reader] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A blocked thread does not keep the process alive, and the end is as usual: the last traces are sent, or their loss is
/// logged. Opening a pipe without a writer blocks, as a look-up at a silent name server does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_blocks_does_not_delay_the_exit_of_the_process() {
    let site = Site::new("drain_delay = \"0s\"").await;
    // No collector listens there.
    trace_to(&site, "http://127.0.0.1:1");
    let mut gateway = site.serve().await;
    gateway.get(&gateway.api, "/v1/accounts").await.unwrap();
    let secret = site.folder.0.join("client_secret");
    fs::remove_file(&secret).unwrap();
    assert!(Command::new("mkfifo").arg(&secret).status().unwrap().success());
    // The open succeeds once the gateway reads. The pipe then stays open, so that the reader never ends.
    let open = || fs::OpenOptions::new().write(true).custom_flags(NON_BLOCKING).open(&secret);
    eventually("the gateway looks at the file", || async { open().is_ok_and(kept) }).await;

    gateway.signal("TERM");

    assert_eq!(gateway.ended().await.code(), Some(0));
    assert_eq!(gateway.lines_of("spans_dropped").len(), 1, "{}", gateway.output());
}

/// `O_NONBLOCK` on Linux.
const NON_BLOCKING: i32 = 0o4000;

/// Keeps a file open until the tests end.
fn kept(file: fs::File) -> bool {
    std::mem::forget(file);
    true
}
