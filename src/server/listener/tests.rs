//! A server and its clients on real sockets. Time passes only in tests of time-outs.

mod answers;
mod connections;
mod heads;
mod http2;
mod routes;
mod shutdown;
mod tls;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use self::routes::router;
use super::*;

/// Upper bound of every wait in a test. A loaded machine must not reach it.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
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

    /// An idle time-out that is longer than the header time-out.
    fn with_short_timeouts() -> Self {
        Self::start(|settings| {
            settings.header_timeout = SHORT;
            settings.idle_timeout = SHORT * 3;
        })
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
    async move { timeout(TEST_TIMEOUT, future).await.unwrap_or_else(|_| panic!("too late at {caller}")) }
}

/// Whether the connection ends with a reset.
async fn is_reset(client: &mut Client) -> bool {
    let mut rest = Vec::new();
    soon(client.0.read_to_end(&mut rest))
        .await
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}
