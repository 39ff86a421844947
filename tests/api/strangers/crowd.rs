//! Thousands of strangers' connections at once, beside good requests: no good request fails, and memory is bounded.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Extent, good_traffic};
use crate::harness::{self, eventually_within, is_long};
use crate::process::{Folder, Gateway, Site};
use crate::tls::{self, Authority};

/// Maximum of the resident memory in KiB, with ten thousand connections.
const MOST_MEMORY: u64 = 512 * 1024;
/// Each source address has its own ports.
const SOURCES: usize = 8;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
/// The most that TLS takes of a handshake's message, and less than its length says here.
const UNFINISHED_HELLO: usize = 60 * 1024;
/// The longest record of TLS.
const LONGEST_RECORD: usize = 16 * 1024;

/// The behaviour of a stranger's connection.
#[derive(Clone, Copy, Debug)]
enum Mix {
    UnfinishedHeads,
    UntakenAnswers,
    OpenStreams,
    SlowBodies,
    /// With TLS: an unfinished hello, a hello without the rest of the handshake, or a handshake without a request.
    Handshakes,
}

impl Mix {
    const IN_PLAIN_TEXT: [Self; 4] =
        [Self::UnfinishedHeads, Self::UntakenAnswers, Self::OpenStreams, Self::SlowBodies];

    /// The bytes that connection `number` sends. If both protocols apply, even numbers use HTTP/1 and odd ones HTTP/2.
    fn bytes(self, number: usize, tls: &TlsClient) -> Vec<u8> {
        match (self, number % 2) {
            (Self::Handshakes, _) => tls.begun[number % 3].clone(),
            (Self::UnfinishedHeads, 0) => {
                format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "x".repeat(60 * 1024)).into_bytes()
            }
            // Each byte is a whole field from the static table, `accept-charset` without a value.
            (Self::UnfinishedHeads, _) => {
                let fields = [&[0x82, 0x84, 0x86][..], &[0x8f; 1400]].concat();
                [preface(&[]), frame(HEADERS, 1, 1, &fields)].concat()
            }
            (Self::UntakenAnswers, 0) => b"GET /docs HTTP/1.1\r\nhost: a\r\n\r\n".repeat(40),
            (Self::UntakenAnswers, _) => {
                let no_window = [0, 4, 0, 0, 0, 0];
                [preface(&no_window), requests(5)].concat()
            }
            // Fields without the end of the stream: a body could follow.
            (Self::OpenStreams, _) => [preface(&[]), requests(4)].concat(),
            (Self::SlowBodies, 0) => {
                let head =
                    "POST /v1/accounts/a/invalidate HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n";
                [head.as_bytes(), &[b'x'; 2000]].concat()
            }
            (Self::SlowBodies, _) => [preface(&[]), requests(4), frame(DATA, 0, 199, &[b'x'; 8000])].concat(),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

fn preface(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, settings)].concat()
}

/// A hundred requests for `/docs`, with these flags.
fn requests(flags: u8) -> Vec<u8> {
    let fields = [&[0x82, 0x86, 0x04, 5][..], b"/docs"].concat();
    (1..=199).step_by(2).flat_map(|stream| frame(HEADERS, flags, stream, &fields)).collect()
}

/// A TLS hello that announces 64 KiB and is sent only in part, in records.
fn unfinished_hello() -> Vec<u8> {
    let hello = [&[1, 0, 0xff, 0xf0][..], &vec![0; UNFINISHED_HELLO]].concat();
    let record =
        |part: &[u8]| [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    hello.chunks(LONGEST_RECORD).flat_map(record).collect()
}

/// What strangers need for TLS handshakes.
struct TlsClient {
    connector: TlsConnector,
    /// An unfinished hello, a complete one, and nothing, because there the TLS client sends its own.
    begun: [Vec<u8>; 3],
}

impl TlsClient {
    /// Disables resumption, so that each handshake is a full one.
    fn new(authority: &Authority) -> Self {
        let mut config = authority.client_tls(None, &["http/1.1"]);
        config.resumption = Resumption::disabled();
        let config = Arc::new(config);
        let mut hello = Vec::new();
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(Arc::clone(&config), name).unwrap().write_tls(&mut hello).unwrap();
        Self { connector: TlsConnector::from(config), begun: [unfinished_hello(), hello, Vec::new()] }
    }
}

/// The connections of one mix, closed on drop.
struct Crowd {
    connected: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl Crowd {
    fn gather(mix: Mix, count: usize, api: SocketAddr, tls: &Arc<TlsClient>) -> Self {
        let connected = Arc::new(AtomicUsize::new(0));
        let mut connections = JoinSet::new();
        for number in 0..count {
            connections.spawn(stranger(mix, number, api, Arc::clone(tls), Arc::clone(&connected)));
        }
        Self { connected, _connections: connections }
    }

    fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }
}

/// Connects, sends its bytes and then a byte per second where its mix asks for it; reconnects after it is cut.
async fn stranger(
    mix: Mix,
    number: usize,
    api: SocketAddr,
    tls: Arc<TlsClient>,
    connected: Arc<AtomicUsize>,
) {
    // Spreads the start.
    tokio::time::sleep(Duration::from_micros(200) * u32::try_from(number).unwrap()).await;
    loop {
        let Ok(mut stream) = connect(number, api).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        connected.fetch_add(1, Ordering::Relaxed);
        // The gateway may stop reading.
        let _ = timeout(Duration::from_secs(5), stream.write_all(&mix.bytes(number, &tls))).await;
        if matches!(mix, Mix::Handshakes) {
            hold_handshake(stream, number, &tls).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            connected.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        if !matches!(mix, Mix::UntakenAnswers) {
            // Reads all available bytes, so that only the request keeps the connection open.
            let _ = timeout(Duration::from_millis(500), stream.read(&mut [0; 16 * 1024])).await;
        }
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let is_over = match mix {
                Mix::UnfinishedHeads | Mix::SlowBodies if number.is_multiple_of(2) => {
                    stream.write_all(b"x").await.is_err()
                }
                _ => is_closed(&stream),
            };
            if is_over {
                break;
            }
        }
        connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until the gateway ends the connection; every third connection finishes its handshake first.
async fn hold_handshake(stream: TcpStream, number: usize, tls: &TlsClient) {
    let mut rest = Vec::new();
    // Any end of the connection is fine.
    let _ = if number % 3 == 2 {
        let name = ServerName::try_from("localhost").unwrap();
        match tls.connector.connect(name, stream).await {
            Ok(mut stream) => stream.read_to_end(&mut rest).await,
            Err(error) => Err(error),
        }
    } else {
        let mut stream = stream;
        stream.read_to_end(&mut rest).await
    };
}

fn is_closed(stream: &TcpStream) -> bool {
    socket2::SockRef::from(stream).take_error().is_ok_and(|error| error.is_some())
}

async fn connect(number: usize, api: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Smaller than an answer, so that the client cannot take the answer.
    socket.set_recv_buffer_size(2304)?;
    let last = u8::try_from(2 + number % SOURCES).unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
    socket.connect(api).await
}

/// The number of strangers, and the good requests that run at the same time.
fn extent() -> (usize, Extent) {
    if is_long() {
        let lines = "max_connections = 11000";
        (10_000, Extent { modes: 1, connections: 0, seconds: 25, good: 500, lines })
    } else {
        (500, Extent { modes: 1, connections: 0, seconds: 1, good: 50, lines: "max_connections = 600" })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_strangers_costs_bounded_memory_and_no_good_request() {
    let (_, extent) = extent();
    let site = Site::new(extent.lines).await;
    let gateway = site.serve().await;
    let url = format!("http://{}{}", gateway.api, super::PATH);
    let tls = Arc::new(TlsClient::new(&Authority::new()));

    let client = harness::client().build().unwrap();
    let idle = idle_memory(&gateway, &client, &url).await;
    for mix in Mix::IN_PLAIN_TEXT {
        let figures = beside_strangers(&gateway, mix, &tls, (&client, &url)).await;
        println!("{figures}, idle {idle}");
        figures.assert_bounded(idle);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_tls_handshakes_costs_bounded_memory_and_no_good_request() {
    let (_, extent) = extent();
    let (folder, authority) = (Folder::new(), Authority::new());
    let lines = tls::lines(&folder, &authority, None);
    // Longer than ten thousand handshakes take on a busy machine.
    let site = Site::new(&format!("{lines}\nheader_timeout = \"1m\"\n{}", extent.lines)).await;
    let gateway = site.serve().await;
    let (_, port) = gateway.api.rsplit_once(':').unwrap();
    let url = format!("https://localhost:{port}{}", super::PATH);
    let tls = Arc::new(TlsClient::new(&authority));

    let client = authority.client(None, &["http/1.1"]);
    let idle = idle_memory(&gateway, &client, &url).await;
    let figures = beside_strangers(&gateway, Mix::Handshakes, &tls, (&client, &url)).await;
    println!("{figures}, idle {idle}");
    figures.assert_bounded(idle);
}

/// What was measured beside one mix.
struct Figures {
    mix: Mix,
    connected: usize,
    /// Sorted.
    took: Vec<Duration>,
    /// The most resident memory, in KiB.
    most: u64,
}

impl Figures {
    #[track_caller]
    fn assert_bounded(&self, idle: u64) {
        let (count, _) = extent();
        // Fewer connections get a proportional bound, in addition to the memory of the idle program.
        let share = idle + (MOST_MEMORY - idle) * u64::try_from(count).unwrap() / 10_000;
        let bound = if is_long() { MOST_MEMORY } else { share + 64 * 1024 };
        assert!(self.most < bound, "{:?}: {} KiB of at most {bound}", self.mix, self.most);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mix, connected, took, most } = self;
        let percentile = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
        let [half, late, last] = [50, 99, 100].map(percentile);
        write!(f, "{mix:?}: {connected} connected, {} good answers, ", took.len())?;
        write!(f, "p50 {half:?}, p99 {late:?}, max {last:?}, memory {most} KiB")
    }
}

/// The resident memory after a few requests.
async fn idle_memory(gateway: &Gateway, client: &reqwest::Client, url: &str) -> u64 {
    let (_, extent) = extent();
    good_traffic(client, url, &Extent { seconds: 1, good: 5, ..extent }).await;
    gateway.most_memory()
}

/// Sends good requests beside a mix of strangers.
async fn beside_strangers(
    gateway: &Gateway,
    mix: Mix,
    tls: &Arc<TlsClient>,
    (client, url): (&reqwest::Client, &str),
) -> Figures {
    let (count, extent) = extent();
    gateway.forget_most_memory();
    let crowd = Crowd::gather(mix, count, gateway.api.parse().unwrap(), tls);
    eventually_within(Duration::from_mins(1), "the strangers are connected", || async {
        crowd.connected() >= count * 9 / 10
    })
    .await;

    let took = good_traffic(client, url, &extent).await;

    Figures { mix, connected: crowd.connected(), took, most: gateway.most_memory() }
}
