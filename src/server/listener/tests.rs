//! Tests on real sockets; time passes only in tests of time-outs.

mod answers;
mod heads;
mod http2;
mod shutdown;
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
    /// Receives "begun" when a request reaches `/forever`, "frame" for each frame, "dropped" when hyper drops the
    /// answer of `/large`.
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

/// An endless answer: one frame of 16 KiB every few milliseconds, each with a deadline `time` later. Sends "frame" for
/// each.
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

/// An answer that must have left within this time.
fn taken_within(time: Duration, body: Bytes) -> axum::response::Response {
    let mut response = axum::response::Response::new(Body::from(body));
    let taken_by = Some((Instant::now() + time).into_std());
    response.extensions_mut().insert(Delivery { taken_by, is_known: true });
    response
}

/// A body larger than the buffers of two sockets. Sends "dropped" when it is dropped.
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

/// Whether the connection ends with a reset.
async fn is_reset(client: &mut Client) -> bool {
    let mut rest = Vec::new();
    soon(client.0.read_to_end(&mut rest))
        .await
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
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
