//! SIGTERM and SIGINT: requests in flight end, and no accepted request is cut.

use super::*;

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
    eventually("the gateway drains", || async {
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

/// wrk counts a refused connection as an error. So it stops while the listener is still open, and must report no error.
/// The next test closes the listener under load.
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
