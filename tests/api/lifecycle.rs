//! The program: its commands, exit codes and shutdown.

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
async fn after_sigterm_the_gateway_is_not_ready_and_finishes_requests_in_flight() {
    let site = Site::new("drain_delay = \"700ms\"").await;
    let mut gateway = site.serve().await;
    let path = "/v1/accounts/treasury/balance";
    let before = gateway.get(&gateway.api, path).await.unwrap();
    site.provider.queue(Fault::on_balance(FaultKind::Delay { ms: 1500 }));
    let slow = gateway.client.get(format!("http://{}{path}", gateway.api)).bearer_auth(KEY);
    let slow = tokio::spawn(slow.header("cache-control", "no-cache").send());
    site.provider.wait_for_calls(3).await;

    let terminated = Instant::now();
    gateway.signal("TERM");
    eventually("the gateway is not ready", || async {
        gateway.get(&gateway.ops, "/readyz").await.is_ok_and(|reply| reply.status == 503)
    })
    .await;
    let during = gateway.get(&gateway.api, path).await.unwrap();
    let problem = gateway.get(&gateway.api, "/v1/nothing").await.unwrap();
    let live = gateway.get(&gateway.ops, "/livez").await.unwrap();
    let slow = Reply::read(slow.await.unwrap().unwrap()).await;
    let status = gateway.ended().await;

    assert_eq!((before.status, before.header("connection")), (200, ""));
    assert_eq!((during.status, during.header("connection")), (200, "close"));
    assert_eq!((problem.status, problem.header("connection")), (404, "close"));
    assert_eq!((slow.status, slow.header("connection"), live.status), (200, "close", 200));
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    assert!(terminated.elapsed() >= Duration::from_millis(1200), "{:?}", terminated.elapsed());
    assert!(gateway.get(&gateway.api, path).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_drains_and_idle_connections_do_not_delay_it() {
    let site = Site::new("drain_delay = \"0s\"").await;
    let mut gateway = site.serve().await;
    let idle = TcpStream::connect(&gateway.api).await.unwrap();
    gateway.get(&gateway.api, "/v1/accounts").await.unwrap();

    let interrupted = Instant::now();
    gateway.signal("INT");
    let status = gateway.ended().await;

    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    assert!(interrupted.elapsed() < Duration::from_secs(5), "{:?}", interrupted.elapsed());
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_process_at_once() {
    let site = Site::new("drain_delay = \"60s\"").await;
    let mut gateway = site.serve().await;
    gateway.signal("TERM");
    eventually("it drains", || async {
        gateway.get(&gateway.ops, "/readyz").await.is_ok_and(|reply| reply.status == 503)
    })
    .await;

    let second = Instant::now();
    gateway.signal("TERM");
    gateway.ended().await;

    assert!(second.elapsed() < Duration::from_secs(2), "{:?}", second.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_longer_than_drain_timeout_is_cut_and_logged() {
    let server = "drain_delay = \"0s\"\nrequest_timeout = \"2s\"\ndrain_timeout = \"2s\"";
    let provider = "connect_timeout = \"100ms\"\nattempt_timeout = \"700ms\"\ndeadline = \"700ms\"";
    let site = Site::with_provider(server, provider).await;
    let mut gateway = site.serve().await;
    // An unfinished head: only the cut ends it.
    let mut stream = std::net::TcpStream::connect(&gateway.api).unwrap();
    stream.write_all(b"GET /v1/accounts HTTP/1.1\r\n").unwrap();
    gateway.get(&gateway.api, "/v1/accounts").await.unwrap();

    let terminated = Instant::now();
    gateway.signal("TERM");
    let status = gateway.ended().await;

    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    let took = terminated.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert!(gateway.output().contains("\"event\":\"cut\""), "{}", gateway.output());
}

/// Waits until this many requests were answered, so the load is running.
async fn under_load(gateway: &Gateway, answers: f64) {
    let series =
        "balance_gateway_http_request_duration_seconds_count{route=\"/v1/accounts/{account}/balance\"}";
    eventually("the load is running", || async {
        let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
        value_of(&page, series).is_some_and(|answered| answered >= answers)
    })
    .await;
}

/// wrk counts a refused connection as a write error. So it ends while the listener is still open and must see no
/// error. The next test closes the listener under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_from_wrk_breaks_no_request() {
    let site = Site::new("drain_delay = \"4s\"").await;
    let mut gateway = site.serve().await;
    let url = format!("http://{}/v1/accounts/treasury/balance", gateway.api);
    let wrk = Command::new("wrk")
        .args(["-t2", "-c32", "-d3s", "-H", &format!("Authorization: Bearer {KEY}"), &url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk is needed: install the Debian package wrk");

    under_load(&gateway, 1000.0).await;
    gateway.signal("TERM");
    let report = tokio::task::spawn_blocking(|| wrk.wait_with_output().unwrap()).await.unwrap();
    let status = gateway.ended().await;

    let report = String::from_utf8(report.stdout).unwrap();
    let served =
        report.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<u64>().ok());
    assert!(served > Some(100), "{report}");
    assert!(!report.contains("Socket errors"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
}

/// Observations of one client of a load.
#[derive(Debug, Default)]
struct Seen {
    answers: u64,
    /// The first refusal, after which a client gives up.
    refused: Option<Instant>,
    broken: Vec<String>,
}

/// Sends requests on one connection after another, until a connection is refused.
async fn ask_until_refused(api: String) -> Seen {
    let request = format!(
        "GET /v1/accounts/treasury/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    let mut seen = Seen::default();
    loop {
        let Ok(mut stream) = TcpStream::connect(&api).await else {
            seen.refused = Some(Instant::now());
            return seen;
        };
        loop {
            match exchange(&mut stream, &request).await {
                Ok(answer) => {
                    seen.answers += 1;
                    if !answer.starts_with("HTTP/1.1 200 ") {
                        seen.broken.push(answer);
                    } else if !answer.contains("connection: close\r\n") {
                        continue;
                    }
                }
                Err(error) => seen.broken.push(error.to_string()),
            }
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_listener_closes_under_load_every_accepted_connection_is_answered() {
    let site = Site::new("drain_delay = \"300ms\"").await;
    let mut gateway = site.serve().await;
    let clients: Vec<_> = (0..32).map(|_| tokio::spawn(ask_until_refused(gateway.api.clone()))).collect();

    under_load(&gateway, 100.0).await;
    let terminated = Instant::now();
    gateway.signal("TERM");
    let mut all = Vec::new();
    for client in clients {
        all.push(client.await.unwrap());
    }
    let status = gateway.ended().await;

    let broken: Vec<_> = all.iter().flat_map(|seen| &seen.broken).collect();
    assert!(
        broken.is_empty(),
        "{} of {}: {broken:?}",
        broken.len(),
        all.iter().map(|seen| seen.answers).sum::<u64>()
    );
    assert!(all.iter().all(|seen| seen.answers > 0));
    let first_refused = all.iter().filter_map(|seen| seen.refused).min().unwrap();
    assert!(first_refused.duration_since(terminated) >= Duration::from_millis(300));
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
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

    eventually("each has its line", || async { gateway.lines_of("request").len() == 4 }).await;
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

#[test]
fn configuration_errors_are_all_listed_with_file_and_key() {
    let folder = Folder::new();
    let config = folder.write(
        "gateway.toml",
        "[server]\nrequest_timeout = 10\nunheard_of = 1\n[freshness]\nmax_age = \"61s\"\n\
         [providers.p]\nkind = \"bank\"\n[accounts.a]\nprovider = \"q\"\ntoken = { file = \"/nonexistent/token\" }\n\
         [callers.c]\nkeys_sha256 = [\"abc\"]\naccounts = [\"*\"]\n",
    );
    for command in ["serve", "check"] {
        let (code, stdout, stderr) = run_on_record(&[command, "--config", &config]);

        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command}: {stderr}");
        for key in [
            "server.request_timeout",
            "server.unheard_of",
            "freshness.max_age",
            "providers.p.kind",
            "accounts.a.provider",
            "accounts.a.token",
            "callers.c.keys_sha256",
        ] {
            let line = stderr.lines().find(|line| line.contains(key));
            let line = line.unwrap_or_else(|| panic!("{command}: {key} is not in {stderr}"));
            assert!(line.contains(&config), "{line}");
        }
    }
}

#[test]
fn a_missing_or_malformed_configuration_file_is_a_configuration_error() {
    let folder = Folder::new();
    let broken = folder.write("gateway.toml", "[server\n");
    for config in ["/nonexistent/gateway.toml", &broken] {
        let (code, _, stderr) = run_on_record(&["serve", "--config", config]);

        assert_eq!(code, Some(2));
        assert!(stderr.contains(config), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_a_run_time_failure() {
    let site = Site::new("").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _taken = std::net::TcpListener::bind(taken).unwrap();
    let config = fs::read_to_string(&site.config).unwrap();
    let config = site
        .folder
        .write("taken.toml", &config.replacen("api = \"127.0.0.1:0\"", &format!("api = \"{taken}\""), 1));

    let (code, _, stderr) = run_on_record(&["serve", "--config", &config]);

    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&taken.to_string()), "{stderr}");
    assert_eq!(stderr.matches("Address already in use").count(), 1, "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_shows_the_effective_configuration_and_no_secret() {
    let site = Site::new("").await;

    let (code, stdout, stderr) = run_on_record(&["check", "--config", &site.config]);

    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for shown in [
        "[providers.ntxpay-br]",
        "[accounts.treasury]",
        "[callers.all]",
        "attempt_timeout = \"2500ms\"",
        "***",
    ] {
        assert!(stdout.contains(shown), "{shown} is not in {stdout}");
    }
    for secret in &site.secrets {
        assert!(!stdout.contains(secret));
    }
    assert!(site.provider.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_warns_of_a_secret_readable_by_others() {
    let site = Site::new("").await;
    let path = site.folder.0.join("client_secret");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();

    let (code, _, stderr) = run_on_record(&["check", "--config", &site.config]);

    assert_eq!(code, Some(0));
    assert!(stderr.contains("accounts.treasury.client_secret"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_live_reads_each_balance_once_and_shows_no_amount() {
    let site = Site::new("").await;
    let arguments = ["check", "--config", &site.config, "--live"];

    let good = tokio::task::block_in_place(|| run_on_record(&arguments));
    let calls = site.provider.calls().len();
    site.provider.queue(Fault::on_balance(FaultKind::status(500)));
    let bad = tokio::task::block_in_place(|| run_on_record(&arguments));

    assert_eq!((good.0, calls, bad.0), (Some(0), 2, Some(1)), "{good:?} {bad:?}");
    let line = good.1.lines().last().unwrap();
    assert!(line.contains("treasury") && line.contains("BRL") && line.contains("ms"), "{line}");
    for output in [&good.1, &bad.1] {
        assert!(!output.contains("48734"), "{output}");
        assert!(site.secrets.iter().all(|secret| !output.contains(secret)));
    }
}

#[test]
fn new_key_prints_the_digest_for_the_configuration() {
    let (code, stdout, _) = run(&["new-key"]);
    let (_, other, _) = run(&["new-key"]);

    let words: Vec<_> = stdout.split_whitespace().collect();
    let key = words.iter().find(|word| word.starts_with("bgk_")).unwrap();
    assert_eq!((code, key.len()), (Some(0), 4 + 43));
    assert!(words.contains(&digest(key).as_str()), "{stdout}");
    assert!(!other.contains(key));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_serves_the_five_demo_accounts() {
    // A key of its own, not recorded as a secret: this command prints it.
    let key = "bgk_key-of-the-sandbox";
    let arguments = ["sandbox", "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--key", key, "--json"];

    let mut gateway = Gateway::start(&arguments).await;

    let line = gateway.find("api").unwrap();
    assert_eq!(line["key"], key);
    gateway.key = key;
    let mut members: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["api", "key", "ops", "providers"]);
    for kind in Kind::ALL {
        let reply = gateway.get(&gateway.api, &format!("/v1/accounts/{kind}-demo/balance")).await.unwrap();
        assert_eq!((reply.status, &reply.json()["provider"]), (200, &kind.as_str().into()), "{reply:?}");
        let url = line["providers"][kind.as_str()].as_str().unwrap();
        let held = gateway.client.get(format!("{url}/_sandbox/balance")).send().await.unwrap();
        assert_eq!(held.status(), 200);
    }
    let declared = gateway.get(&gateway.api, "/v1/accounts/sample-demo/balance").await.unwrap();
    assert_eq!((declared.status, &declared.json()["available"]), (200, &"48734.91".into()), "{declared:?}");
    assert!(line["providers"]["sample"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let batch = gateway.get(&gateway.api, "/v1/balances").await.unwrap().json();
    assert_eq!((&batch["complete"], batch["balances"].as_array().unwrap().len()), (&true.into(), 8));
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_simulates_the_provider_of_any_kind() {
    for (kind, available) in [("stripe", "48734.91"), ("xendit", "4873490.12"), ("efi", "48734.91")] {
        let file = format!("config/kinds/{kind}.toml");
        let key = "bgk_key-of-the-sandbox";
        let addresses = ["--api", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--json"];
        let arguments = [&["sandbox", "--key", key, "--kind", &file], addresses.as_slice()].concat();

        let mut gateway = Gateway::start(&arguments).await;
        gateway.key = key;
        let path = format!("/v1/accounts/{kind}-demo/balance");
        let reply = gateway.get(&gateway.api, &path).await.unwrap();

        assert_eq!((reply.status, &reply.json()["available"]), (200, &available.into()), "{reply:?}");
        assert!(gateway.find("api").unwrap()["providers"][kind].is_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_prints_curl_lines_that_work() {
    let mut child = command(&["sandbox", "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0"]).spawn().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    // Not recorded: the output contains a key, as intended.
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines_of_output = Arc::clone(&lines);
    std::thread::spawn(move || {
        output.lines().map_while(Result::ok).for_each(|line| lines_of_output.lock().unwrap().push(line));
    });
    let printed = || lines.lock().unwrap().iter().any(|line: &String| line.contains("pluggo-demo/balance"));
    eventually("the lines to paste are printed", || async { printed() }).await;
    let curl =
        lines.lock().unwrap().iter().find(|line| line.contains("ntxpay-br-demo/balance")).unwrap().clone();
    let quoted: Vec<_> = curl.split('\'').collect();
    let url = curl.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let (name, value) = quoted[1].split_once(": ").unwrap();

    let sent = harness::client().build().unwrap().get(url).header(name, value).send().await;
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(sent.unwrap().status(), 200, "{curl}");
}

#[test]
fn the_command_line_explains_itself() {
    let (code, version, _) = run(&["--version"]);
    assert_eq!((code, version.trim()), (Some(0), concat!("balance-gateway ", env!("CARGO_PKG_VERSION"))));

    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["serve", "sandbox", "check", "new-key", "try"] {
        assert!(help.contains(command), "{help}");
        assert_eq!(run(&[command, "--help"]).0, Some(0));
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for arguments in [vec![], vec!["nothing"], vec!["serve", "--nothing"], vec!["sandbox", "--api", "x"]] {
        let (code, stdout, stderr) = run(&arguments);

        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!stderr.is_empty());
    }
}

/// A blocked thread does not keep the process alive. A pipe without a writer blocks like a silent name server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_blocks_does_not_keep_the_process() {
    let site = Site::new("drain_delay = \"0s\"").await;
    let mut gateway = site.serve().await;
    let secret = site.folder.0.join("client_secret");
    fs::remove_file(&secret).unwrap();
    assert!(Command::new("mkfifo").arg(&secret).status().unwrap().success());
    // The open succeeds once the gateway reads. The pipe then stays open, so that the reader never ends.
    let open = || fs::OpenOptions::new().write(true).custom_flags(NON_BLOCKING).open(&secret);
    eventually("the gateway looks at the file", || async { open().is_ok_and(kept) }).await;

    gateway.signal("TERM");

    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// `O_NONBLOCK` on Linux.
const NON_BLOCKING: i32 = 0o4000;

/// Keeps a file open to the end of the tests.
fn kept(file: fs::File) -> bool {
    std::mem::forget(file);
    true
}
