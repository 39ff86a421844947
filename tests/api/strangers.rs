//! Thousands of deliberately slow peers do not harm other callers.

mod crowd;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::Kind;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{self, Harness, KEY, Setup, is_long, value_of};
use crate::process::{Gateway, Site};

/// The modes of slowhttptest, each as its options.
const MODES: [(&str, &str); 4] =
    [("slow heads", "-H"), ("slow bodies", "-B"), ("ranges", "-R"), ("slow readers", "-X")];
const PATH: &str = "/v1/accounts/treasury/balance";

/// The size and length of the attack.
struct Extent {
    /// Modes that run at the same time.
    modes: usize,
    /// Connections of each mode.
    connections: u32,
    seconds: u32,
    /// Good requests per second.
    good: u32,
    /// Lines of `[server]`, with time-outs that end within the test.
    lines: &'static str,
}

fn extent() -> Extent {
    if is_long() {
        Extent { modes: 1, connections: 2000, seconds: 30, good: 500, lines: "" }
    } else {
        Extent { modes: 4, connections: 50, seconds: 6, good: 100, lines: "header_timeout = \"3s\"" }
    }
}

/// A running slowhttptest, killed on drop.
struct Attack(Child);

impl Attack {
    /// Sends the key in a header after the cookie header: without it every request would end with 401.
    fn begin(mode: &str, extent: &Extent, gateway: &Gateway) -> Self {
        let (connections, seconds) = (extent.connections.to_string(), extent.seconds.to_string());
        let (rate, url) = (extent.connections / 2, format!("http://{}{PATH}", gateway.api));
        let key = format!("a=b\r\nAuthorization: Bearer {KEY}");
        let child = Command::new("slowhttptest")
            .args([mode, "-c", &connections, "-r", &rate.to_string(), "-l", &seconds, "-i", "1", "-u", &url])
            .args(["-j", &key, "-k", "5", "-p", "60"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("slowhttptest is installed");
        Self(child)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends requests to this URL at a steady rate, however long each answer takes; returns the sorted durations.
async fn good_traffic(client: &reqwest::Client, url: &str, extent: &Extent) -> Vec<Duration> {
    let mut beat = tokio::time::interval(Duration::from_secs(1) / extent.good);
    let (mut asked, begun) = (JoinSet::new(), Instant::now());
    while begun.elapsed() < Duration::from_secs(extent.seconds.into()) {
        let due = beat.tick().await;
        let request = client.get(url).bearer_auth(KEY).timeout(Duration::from_secs(10));
        asked.spawn(async move {
            let answer = request.send().await.expect("good requests are answered");
            assert_eq!(answer.status(), 200);
            assert!(answer.text().await.unwrap().contains("\"available\""));
            due.elapsed()
        });
    }
    let mut took = asked.join_all().await;
    took.sort();
    took
}

/// A counter of the gateway, or zero while it is absent.
async fn count(gateway: &Gateway, series: &str) -> f64 {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    value_of(&page, &format!("balance_gateway_{series}")).unwrap_or_default()
}

/// An HTTP/2 connection with requests whose bodies never end.
async fn open_streams(api: SocketAddr, path: &str, count: usize) -> Vec<h2::SendStream<Bytes>> {
    let stream = TcpStream::connect(api).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..count {
        let request = http::Request::post(format!("http://{api}{path}")).body(()).unwrap();
        client = client.ready().await.unwrap();
        streams.push(client.send_request(request, false).unwrap().1);
    }
    streams
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_with_open_streams_do_not_count_in_max_in_flight() {
    let server = "max_in_flight = 1\n".to_owned();
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;
    gateway.balance(Kind::NtxpayBr).await;

    let mut open = Vec::new();
    for path in ["/docs", "/nothing", "/v1/balances"] {
        open.extend(open_streams(gateway.api, path, 15).await);
    }
    for _ in 0..20 {
        assert_eq!(gateway.balance(Kind::NtxpayBr).await.status, 200);
    }

    assert_eq!(open.len(), 45);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_requests_are_answered_while_slow_peers_attack() {
    let extent = extent();
    let site = Site::new(extent.lines).await;
    let gateway = site.serve().await;
    for modes in MODES.chunks(extent.modes) {
        let begin = |(_, mode): &(&str, &str)| Attack::begin(mode, &extent, &gateway);
        let attacks: Vec<_> = modes.iter().map(begin).collect();

        let url = format!("http://{}{PATH}", gateway.api);
        let took = good_traffic(&harness::client().build().unwrap(), &url, &extent).await;

        drop(attacks);
        let names: Vec<_> = modes.iter().map(|(name, _)| *name).collect();
        let percentile = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
        let (half, most, last) = (percentile(50), percentile(99), percentile(100));
        println!("{names:?}: {} good answers, p50 {half:?}, p99 {most:?}, max {last:?}", took.len());
        let enough = usize::try_from(extent.good * extent.seconds / 2).unwrap();
        assert!(took.len() > enough, "{names:?}: {} good answers", took.len());
    }

    let closed = count(&gateway, "connections_refused_total{reason=\"head\"}").await;
    assert!(
        closed >= f64::from(extent.connections) * 0.8,
        "{closed} connections were closed for their heads"
    );
    let refused = count(&gateway, "connections_refused_total{reason=\"limit\"}").await;
    assert!(refused < 1.0, "{refused} connections were refused above the limit");
}
