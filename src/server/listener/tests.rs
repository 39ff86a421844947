//! Tests on real sockets; time passes only in tests of time-outs.

mod http2;
mod tls;

use std::{convert::Infallible, future::pending};

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    routing::get,
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use super::*;
use crate::server::{Delivery, OpenEnded};

/// Upper bound of every wait in a test. A loaded machine must not reach it.
const SOON: Duration = Duration::from_secs(20);
/// A bound that a test waits for.
const SHORT: Duration = Duration::from_millis(200);
/// A bound that no test reaches.
const LONG: Duration = Duration::from_mins(1);

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";

struct Server {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    task: JoinHandle<Drained>,
    /// Says that a request reached `/forever`, or that hyper let go of the answer of `/large`.
    events: mpsc::UnboundedReceiver<&'static str>,
}

impl Server {
    fn start(change: impl FnOnce(&mut ListenerSettings)) -> Self {
        let shutdown = Shutdown::default();
        Self::start_with(change, bind(([127, 0, 0, 1], 0).into()).unwrap(), shutdown.clone(), shutdown)
    }

    fn start_with(
        change: impl FnOnce(&mut ListenerSettings),
        listener: TcpListener,
        shutdown: Shutdown,
        seen: Shutdown,
    ) -> Self {
        Self::start_at(change, listener, None, shutdown, seen)
    }

    fn start_at(
        change: impl FnOnce(&mut ListenerSettings),
        listener: TcpListener,
        tls: Option<Live<TlsSettings>>,
        shutdown: Shutdown,
        seen: Shutdown,
    ) -> Self {
        let mut settings = ListenerSettings {
            header_timeout: LONG,
            idle_timeout: LONG,
            request_timeout: LONG,
            max_connection_age: LONG,
            max_connections: 100,
            drain_timeout: LONG,
        };
        change(&mut settings);
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        let (sender, events) = mpsc::unbounded_channel();
        let endpoint = Endpoint {
            listener,
            tls,
            metrics: Some(Arc::clone(&metrics)),
            workers: Workers::none(),
            spare_files: 0,
        };
        let task = tokio::spawn(serve(endpoint, router(sender), Live::new(settings), seen));
        Self { address, metrics, shutdown, task, events }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    #[track_caller]
    fn assert_refused(&self, reason: &str, count: u32) {
        let page = String::from_utf8(self.metrics.render(crate::metrics::Samples::default())).unwrap();
        let line = format!("balance_gateway_connections_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&line), "no {line} in {page}");
    }

    async fn event(&mut self) -> &'static str {
        soon(self.events.recv()).await.unwrap()
    }

    async fn drained(self) -> Drained {
        soon(self.task).await.unwrap()
    }
}

struct Client<T = TcpStream>(T);

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// One answer, to the end of its body of known length.
    async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(soon(self.0.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(answer).unwrap();
        let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        soon(self.0.read_exact(&mut body)).await.unwrap();
        head + std::str::from_utf8(&body).unwrap()
    }

    async fn ask(&mut self) -> String {
        self.send(REQUEST).await;
        self.answer().await
    }

    /// The bytes received until the server closes or resets the connection.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

#[track_caller]
fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move { timeout(SOON, future).await.unwrap_or_else(|_| panic!("too late at {caller}")) }
}

fn router(events: mpsc::UnboundedSender<&'static str>) -> Router {
    Router::new()
        .route("/", get(async || "balance"))
        .route("/peer", get(async |Extension(Peer(peer)): Extension<Peer>| peer.to_string()))
        .route(
            "/large",
            get(async |State(events): State<_>| Body::from(Bytes::from_owner(Large::new(events)))),
        )
        .route(
            "/forever",
            get(async |State(events): State<mpsc::UnboundedSender<_>>, _: Request| {
                let _ = events.send("begun");
                pending::<()>().await;
            }),
        )
        .route("/brief", get(async || taken_within(SHORT * 3, Bytes::from_static(b"balance"))))
        .route(
            "/brief-large",
            get(async || taken_within(SHORT * 3, Bytes::from(vec![b'x'; 16 * 1024 * 1024]))),
        )
        .route("/brief-empty", get(async || taken_within(SHORT * 3, Bytes::new())))
        .route("/frames", get(async |State(events): State<_>| frames(events, None)))
        .route("/brief-frames", get(async |State(events): State<_>| frames(events, Some(SHORT * 3))))
        .with_state(events)
}

/// An endless answer: 16 KiB every few milliseconds, each to be taken within this time. Says when a frame is made.
fn frames(events: mpsc::UnboundedSender<&'static str>, time: Option<Duration>) -> axum::response::Response {
    let open_ended = OpenEnded::default();
    let deadlines = open_ended.clone();
    let stream = futures_util::stream::repeat(()).then(move |()| {
        let (events, deadlines) = (events.clone(), deadlines.clone());
        async move {
            sleep(SHORT / 40).await;
            let _ = events.send("frame");
            deadlines.bound_next(time.map(|time| (Instant::now() + time).into_std()));
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 16 * 1024]))
        }
    });
    let mut response = axum::response::Response::new(Body::from_stream(stream));
    response.extensions_mut().insert(open_ended);
    response
}

/// An answer that must have left after this time.
fn taken_within(time: Duration, body: Bytes) -> axum::response::Response {
    let mut response = axum::response::Response::new(Body::from(body));
    let taken_by = Some((Instant::now() + time).into_std());
    response.extensions_mut().insert(Delivery { taken_by, is_known: true });
    response
}

/// More than the buffers of two sockets hold; says when it is dropped.
struct Large(Vec<u8>, mpsc::UnboundedSender<&'static str>);

impl Large {
    fn new(events: mpsc::UnboundedSender<&'static str>) -> Self {
        Self(vec![b'x'; 16 * 1024 * 1024], events)
    }
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let _ = self.1.send("dropped");
    }
}

#[tokio::test]
async fn a_request_carries_its_peer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("GET /peer HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    let answer = client.answer().await;
    assert!(answer.ends_with(&client.0.local_addr().unwrap().to_string()), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let server = Server::start(|settings| {
        settings.header_timeout = SHORT;
        settings.idle_timeout = SHORT * 3;
    });
    let mut client = server.connect().await;
    let connected = Instant::now();

    client.ask().await;
    client.rest().await;

    assert!(connected.elapsed() >= SHORT * 3);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn the_idle_timeout_counts_from_the_last_answer() {
    let server = Server::start(|settings| settings.idle_timeout = SHORT);
    let mut client = server.connect().await;
    let connected = Instant::now();

    while connected.elapsed() < SHORT * 3 {
        client.ask().await;
        sleep(SHORT / 4).await;
    }

    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_half_sent_head_is_closed_and_counted() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;
    let connected = Instant::now();

    client.send("GET / HTTP/1.1\r\nho").await;

    assert!(client.rest().await.is_empty());
    assert!(connected.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_dripped_head_is_closed_after_the_header_timeout() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let client = server.connect().await;
    let connected = Instant::now();
    let (mut read, mut write) = client.0.into_split();

    let drip = tokio::spawn(async move {
        while write.write_all(b"G").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    });

    let _ = soon(read.read_to_end(&mut Vec::new())).await;
    assert!(connected.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
    soon(drip).await.unwrap();
}

#[tokio::test]
async fn a_later_head_has_the_header_timeout_too() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;
    client.ask().await;

    client.send("GET / HT").await;

    assert!(client.rest().await.is_empty());
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn an_idle_connection_is_served_when_a_half_sent_head_is_closed() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let (mut idle, mut half) = (server.connect().await, server.connect().await);
    idle.ask().await;
    half.send("GET / HTTP/1.1\r\nho").await;

    assert!(half.rest().await.is_empty());
    sleep(SHORT / 5).await;

    assert!(idle.ask().await.starts_with("HTTP/1.1 200 "));
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_half_head_behind_a_whole_request_has_the_header_timeout() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;

    client.send([REQUEST, "GET / HTTP/1.1\r\nho"].concat()).await;
    client.answer().await;
    let answered = Instant::now();

    assert!(client.rest().await.is_empty());
    assert!(answered.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn the_rest_of_a_half_head_behind_a_request_is_served() {
    let server = Server::start(|settings| settings.header_timeout = SHORT * 5);
    let mut client = server.connect().await;
    let (begin, end) = REQUEST.split_at(10);
    client.send([REQUEST, begin].concat()).await;
    client.answer().await;
    sleep(SHORT).await;

    client.send(end).await;

    assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_request_with_a_body_leaves_an_idle_connection() {
    let server = Server::start(|settings| {
        settings.header_timeout = SHORT;
        settings.idle_timeout = SHORT * 3;
    });
    let mut client = server.connect().await;

    client.send("GET /peer HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\n\r\n{}").await;
    client.answer().await;
    let answered = Instant::now();

    assert!(client.rest().await.is_empty());
    assert!(answered.elapsed() >= SHORT * 2);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_silent_peer_is_closed_and_not_counted() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;

    assert!(client.rest().await.is_empty());

    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_counted_once() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send(format!("GET / HTTP/1.1\r\nhost: gateway\r\nx: {}\r\n\r\n", "x".repeat(70 * 1024))).await;

    let refusal = client.rest().await;
    assert!(refusal.starts_with(b"HTTP/1.1 431 "), "{}", refusal.escape_ascii());
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_head_of_64_kib_is_served() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let frame = "GET / HTTP/1.1\r\nhost: gateway\r\nx: \r\n\r\n".len();

    client
        .send(REQUEST.replace("\r\n\r\n", &format!("\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024 - frame))))
        .await;

    assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_of_more_than_100_fields_is_refused() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send(REQUEST.replace("\r\n\r\n", &format!("{}\r\n\r\n", "\r\nx: y".repeat(100)))).await;

    assert!(client.rest().await.starts_with(b"HTTP/1.1 431 "));
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn large_heads_share_a_bounded_memory_and_small_ones_need_none() {
    let server = Server::start(|_| {});
    let half = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(60 * 1024));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = server.connect().await;
        client.send(&half).await;
        clients.push(client);
    }
    let is_full = || async {
        let mut one_more = server.connect().await;
        // The server may have closed before it has read all.
        let _ = one_more.0.write_all(half.as_bytes()).await;
        timeout(SHORT, one_more.rest()).await.is_ok()
    };
    soon(async { while !is_full().await {} }).await;

    assert!(server.connect().await.ask().await.starts_with("HTTP/1.1 200 "));

    clients[0].send("\r\nhost: gateway\r\n\r\n").await;
    let answer = clients[0].answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("connection: close"), "a stranger's large head ends its connection: {answer}");
}

#[tokio::test]
async fn an_unreadable_head_is_refused_and_counted_once() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("\x16\x03\x01 not HTTP\r\n\r\n").await;

    assert!(client.rest().await.starts_with(b"HTTP/1.1 400 "));
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_slow_reader_is_cut_however_it_drips() {
    let mut server = Server::start(|settings| settings.request_timeout = SHORT);
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    let drip = tokio::spawn(async move {
        while client.0.read_u8().await.is_ok() {
            sleep(SHORT / 40).await;
        }
    });

    assert_eq!(server.event().await, "dropped");

    assert!(asked.elapsed() >= SHORT && asked.elapsed() < SHORT * 5);
    drip.abort();
}

/// Whether the peer's system was told that the connection is reset.
async fn is_reset(client: &mut Client) -> bool {
    let mut rest = Vec::new();
    soon(client.0.read_to_end(&mut rest))
        .await
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn an_answer_unread_at_its_deadline_resets_the_connection() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send("GET /brief-large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    sleep(SHORT * 6).await;

    let mut rest = Vec::new();
    let ended = soon(client.0.read_to_end(&mut rest)).await;
    assert!(ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    assert!(rest.len() < 16 * 1024 * 1024);
}

#[tokio::test]
async fn pipelined_answers_that_are_not_taken_reset_the_connection() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    socket2::SockRef::from(&client.0).set_recv_buffer_size(4096).unwrap();
    let request = "GET /brief HTTP/1.1\r\nhost: gateway\r\n\r\n";
    // The server reads no further when its answers are not taken, so the write may not end.
    let _ = timeout(SHORT, client.0.write_all(request.repeat(100_000).as_bytes())).await;

    sleep(SHORT * 6).await;

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn bytes_in_the_kernel_are_not_sent_after_their_deadline() {
    let server = Server::start(|_| {});
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2304).unwrap();
    let mut client = Client(socket.connect(server.address).await.unwrap());
    let request = "GET /brief HTTP/1.1\r\nhost: gateway\r\n\r\n";
    client.send(request.repeat(60)).await;

    sleep(SHORT * 6).await;

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn an_answer_that_was_taken_leaves_its_connection_open() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send("GET /brief HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    client.answer().await;

    sleep(SHORT * 6).await;

    assert!(client.ask().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_last_answer_that_was_taken_ends_its_connection_at_once() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send("GET /brief HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await;

    let mut rest = Vec::new();
    soon(client.0.read_to_end(&mut rest)).await.unwrap();

    assert!(rest.ends_with(b"balance"));
    assert!(asked.elapsed() < SHORT * 3, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_cut_drops_the_kernels_bytes_of_an_answer_with_a_deadline() {
    let server = Server::start(|settings| settings.drain_timeout = SHORT);
    let mut client = server.connect().await;
    client.send("GET /brief-large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    sleep(SHORT).await;

    server.shutdown.begin_stop();
    assert_eq!(server.drained().await, Drained { cut: 1 });

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn a_stopped_reader_of_frames_is_cut_and_costs_bounded_memory() {
    for (path, request_timeout) in [("/frames", SHORT * 2), ("/brief-frames", LONG)] {
        let mut server = Server::start(|settings| settings.request_timeout = request_timeout);
        let mut client = server.connect().await;
        socket2::SockRef::from(&client.0).set_recv_buffer_size(4096).unwrap();

        client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n")).await;
        assert_eq!(server.event().await, "frame");
        let mut frames = 1;
        while timeout(SHORT * 6, server.events.recv()).await.is_ok() {
            frames += 1;
        }

        // The sockets' buffers took them; an unbounded queue would take one every few milliseconds.
        assert!(frames < 80, "{path}: {frames} frames");
        assert!(is_reset(&mut client).await, "{path}");
    }
}

#[tokio::test]
async fn frames_that_are_taken_go_on_after_their_deadlines() {
    let server = Server::start(|settings| settings.request_timeout = SHORT * 2);
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send("GET /brief-frames HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    while asked.elapsed() < SHORT * 6 {
        soon(client.0.read_exact(&mut [0; 4096])).await.unwrap();
    }
}

#[tokio::test]
async fn a_fast_reader_gets_a_large_answer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await;

    assert!(client.rest().await.len() > 16 * 1024 * 1024);
}

#[tokio::test]
async fn each_answer_has_its_own_time() {
    let server = Server::start(|settings| settings.request_timeout = SHORT * 5);
    let mut client = server.connect().await;

    for _ in 0..3 {
        client.send("GET /large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
        sleep(SHORT * 2).await;
        client.answer().await;
    }
}

#[tokio::test]
async fn a_refused_peer_may_finish_sending() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(64 * 1024))).await;
    assert!(client.rest().await.starts_with(b"HTTP/1.1 431 "));

    for _ in 0..3 {
        client.send("more").await;
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let server = Server::start(|settings| settings.max_connections = 1);
    let mut first = server.connect().await;
    first.ask().await;

    assert!(server.connect().await.rest().await.is_empty());

    server.assert_refused("limit", 1);
    assert!(first.ask().await.starts_with("HTTP/1.1 200 "));
    drop(first);
    soon(async {
        let mut next = server.connect().await;
        while next.0.write_all(REQUEST.as_bytes()).await.is_err() || next.0.read_u8().await.is_err() {
            next = server.connect().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_old_connection_closes_after_its_answer() {
    let server = Server::start(|settings| settings.max_connection_age = Duration::ZERO);
    let mut client = server.connect().await;

    let answer = client.ask().await;

    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn draining_leaves_idle_connections_open_until_their_next_answer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    assert!(!client.ask().await.contains("connection: close"));

    server.shutdown.begin_drain();

    assert!(client.ask().await.contains("connection: close\r\n"));
    assert!(client.rest().await.is_empty());
    assert!(server.connect().await.ask().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn stopping_closes_idle_connections() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.ask().await;

    server.shutdown.begin_stop();

    assert!(client.rest().await.is_empty());
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn stopping_waits_for_a_head_that_has_begun() {
    let server = Server::start(|_| {});
    let (mut fresh, mut used) = (server.connect().await, server.connect().await);
    used.ask().await;
    fresh.send(&REQUEST[..10]).await;
    used.send(&REQUEST[..10]).await;
    // The runtime has one thread, so what was sent before this has been read after it.
    server.connect().await.ask().await;

    server.shutdown.begin_stop();
    while TcpStream::connect(server.address).await.is_ok() {}
    for mut client in [fresh, used] {
        client.send(&REQUEST[10..]).await;

        assert!(client.answer().await.contains("connection: close\r\n"));
    }
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn connections_in_the_kernels_queue_are_served_after_the_stop() {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = Client(TcpStream::connect(address).await.unwrap());
        client.send(REQUEST).await;
        waiting.push(client);
    }
    let shutdown = Shutdown::default();
    shutdown.begin_stop();

    let server = Server::start_with(|_| {}, listener, shutdown.clone(), shutdown);

    for mut client in waiting {
        assert!(client.answer().await.contains("connection: close\r\n"));
    }
    assert_eq!(server.drained().await, Drained { cut: 0 });
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_in_flight_are_cut_after_the_drain_timeout() {
    let mut server = Server::start(|settings| settings.drain_timeout = SHORT);
    let mut client = server.connect().await;
    client.send("GET /forever HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(server.event().await, "begun");
    let stopped = Instant::now();

    server.shutdown.begin_stop();

    assert!(client.rest().await.is_empty());
    assert!(stopped.elapsed() >= SHORT);
    assert_eq!(server.drained().await, Drained { cut: 1 });
}

#[tokio::test]
async fn a_cut_does_not_wait() {
    let mut server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send("GET /forever HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(server.event().await, "begun");

    server.shutdown.begin_cut();

    assert_eq!(server.drained().await, Drained { cut: 1 });
}

#[tokio::test]
async fn a_listener_that_serves_until_the_cut_serves_while_others_stop() {
    let shutdown = Shutdown::default();
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let server = Server::start_with(|_| {}, listener, shutdown.clone(), shutdown.until_cut());

    shutdown.begin_stop();

    assert!(!server.connect().await.ask().await.contains("connection: close"));
    shutdown.begin_cut();
    let _ = server.drained().await;
}

#[tokio::test]
async fn any_infallible_tower_service_is_served() {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |_| Ok::<_, Infallible>(http::Response::new(Body::from("plain"))));
    let mut settings = None;
    drop(Server::start(|given| settings = Some(*given)));
    let endpoint = Endpoint { listener, tls: None, metrics: None, workers: Workers::none(), spare_files: 0 };
    tokio::spawn(serve(endpoint, service, Live::new(settings.unwrap()), Shutdown::default()));

    let answer = Client(TcpStream::connect(address).await.unwrap()).ask().await;

    assert!(answer.ends_with("plain"), "{answer}");
}
