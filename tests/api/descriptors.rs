//! Out of file descriptors: this shortage never counts as a failure of the provider.

use std::cell::RefCell;
use std::fs;
use std::time::Duration;

use balance_gateway::sandbox::Operation;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{KEY, Reply, TEST_TIMEOUT, eventually, retry_within, value_of};
use crate::process::{Gateway, Site, command_with_files, exchange};

/// The limit of open files.
const FILES: usize = 256;
/// `max_connections` after the gateway has lowered it to fit this limit.
const CONNECTIONS: usize = 152;
const PROVIDER: &str = "max_concurrency = 8";

async fn serve(site: &Site) -> Gateway {
    Gateway::run(command_with_files(FILES, &["serve", "--config", &site.config])).await
}

/// Connections that send nothing.
async fn open(address: &str, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    streams
}

/// Opens connections to both ports until the gateway cannot open another file. Callers already hold `others`.
async fn take_all_files(gateway: &Gateway, others: usize) -> Vec<TcpStream> {
    let mut streams = open(&gateway.api, FILES).await;
    // Until then the gateway closes connections above its limit, so sometimes a file is free.
    let refused = f64::from(u32::try_from(others + FILES - CONNECTIONS).unwrap());
    eventually("the gateway refuses connections above its limit", || async {
        metric(gateway, "connections_refused_total{reason=\"limit\"}").await == Some(refused)
    })
    .await;
    take_rest(gateway, &mut streams).await;
    streams
}

/// Opens connections to the operations port until the gateway cannot open another file.
async fn take_rest(gateway: &Gateway, streams: &mut Vec<TcpStream>) {
    let streams = RefCell::new(streams);
    let take = || async {
        let files = gateway.open_files();
        if files < FILES {
            let opened = open(&gateway.ops, 4).await;
            streams.borrow_mut().extend(opened);
            return Err(files);
        }
        Ok(())
    };
    let taken = retry_within(Duration::from_secs(15), take).await;
    taken.unwrap_or_else(|files| panic!("{files} files are open"));
}

async fn metric(gateway: &Gateway, series: &str) -> Option<f64> {
    let page = gateway.get(&gateway.ops, "/metrics").await.ok()?;
    value_of(&page.body, &format!("balance_gateway_{series}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ops_port_answers_while_callers_hold_every_connection() {
    let site = Site::with_provider("", PROVIDER).await;
    let gateway = serve(&site).await;
    let held = open(&gateway.api, 2 * FILES).await;

    eventually("connections are refused", || async {
        metric(&gateway, "connections_refused_total{reason=\"limit\"}").await.is_some_and(|count| count > 0.0)
    })
    .await;

    for path in ["/livez", "/readyz", "/status"] {
        assert_eq!(gateway.get(&gateway.ops, path).await.unwrap().status, 200, "{path}");
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_closed_at_once_when_no_file_descriptor_is_free() {
    let site = Site::with_provider("", PROVIDER).await;
    let gateway = serve(&site).await;
    let held = take_all_files(&gateway, 0).await;

    let mut late = TcpStream::connect(&gateway.api).await.unwrap();
    let ended = timeout(TEST_TIMEOUT, late.read(&mut [0])).await;

    // Closed, or reset.
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    eventually("the reserve is taken back", || async { gateway.open_files() == FILES }).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shortage_of_files_is_overloaded_and_blames_neither_the_provider_nor_the_configuration() {
    let site = Site::with_provider("", PROVIDER).await;
    let gateway = serve(&site).await;
    let mut stream = TcpStream::connect(&gateway.api).await.unwrap();
    let request =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\r\n");
    exchange(&mut stream, &request("/v1/accounts")).await.unwrap();

    let mut held = take_all_files(&gateway, 1).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        take_rest(&gateway, &mut held).await;
        answers.push(exchange(&mut stream, &request("/v1/accounts/treasury/balance")).await.unwrap());
    }
    let text = fs::read_to_string(&site.config).unwrap();
    fs::write(&site.config, text.replace("[accounts.treasury]", "[accounts.reserve]")).unwrap();
    gateway.signal("HUP");
    eventually("the reload is postponed", || async { !gateway.lines_of("config_postponed").is_empty() })
        .await;
    drop(held);

    for answer in &answers {
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.contains("\"code\":\"overloaded\"") && answer.contains("retry-after: 1\r\n"),
            "{answer}"
        );
    }
    eventually("the new configuration is in force", || async {
        metric(&gateway, "config_reloads_total{result=\"ok\"}").await == Some(1.0)
    })
    .await;
    for series in [
        "config_reloads_total{result=\"rejected\"}",
        "breaker_state{provider=\"ntxpay-br\"}",
        "upstream_retries_total{provider=\"ntxpay-br\"}",
        "upstream_errors_total{provider=\"ntxpay-br\",operation=\"token\",kind=\"connect\"}",
        "reads_refused_total{provider=\"ntxpay-br\",reason=\"hold\"}",
    ] {
        assert_eq!(metric(&gateway, series).await, Some(0.0), "{series}");
    }
    let calls = site.provider.calls();
    let reply: Reply = gateway.get(&gateway.api, "/v1/accounts/reserve/balance").await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(calls.iter().all(|call| call.operation != Operation::Balance), "{calls:?}");
}
