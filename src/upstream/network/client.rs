//! The HTTP client of one provider: our own TLS configuration, nothing from the environment, every wait and every
//! body bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::client_settings::ClientSettings;
use super::connect::{Connector, FirstBytes, Progress};
use super::tls::{self, ClientError, Trust};
use super::transport::{Response, Sending, Transport};
use crate::clock;
use crate::domain::{Cause, ParseError, UpstreamError};
use crate::metrics::Operation;
use crate::providers::WaitHeader;
use crate::upstream::failure::{classify, retry_after};
use crate::upstream::targets;

/// A balance has about 300 bytes and a token a few kilobytes; a larger answer is neither.
const MAX_BODY: usize = 64 * 1024;
/// Common load balancers close idle connections after 60 s or 75 s. Half of that avoids using a connection that is just
/// being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections are replaced after this time, so that they follow changes of DNS and of routes.
const MAX_LIFETIME: Duration = Duration::from_mins(5);
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const AGENT: HeaderValue = HeaderValue::from_static(concat!("balance-gateway/", env!("CARGO_PKG_VERSION")));

/// One provider's client, renewed every few minutes so that its connections follow DNS.
#[derive(Debug)]
pub(in crate::upstream) struct Client {
    connector: Connector,
    connect_timeout: Duration,
    /// Longest time for the answer to an HTTP/2 ping.
    ping_timeout: Duration,
    current: ArcSwap<Connections>,
}

#[derive(Debug)]
struct Connections {
    client: legacy::Client<Connector, Full<Bytes>>,
    made_at: Instant,
}

/// How one exchange failed.
enum Failure {
    /// The connection failed, or the peer broke the rules of HTTP.
    Transport(Box<dyn std::error::Error + Send + Sync>),
    /// The answer itself is a failure.
    Answer(UpstreamError),
}

impl Transport for Client {
    fn send(&self, operation: Operation, request: http::Request<Vec<u8>>, timeout: Duration) -> Sending<'_> {
        let judge =
            move |status, headers: &_| classify::status(operation, status, headers, clock::now().wall);
        Box::pin(self.ask(request, timeout, judge))
    }
}

impl Client {
    /// Makes the client; `attempt_timeout` is the longest time that an answer may take.
    pub(in crate::upstream) fn new(
        settings: &ClientSettings,
        attempt_timeout: Duration,
    ) -> Result<Self, ClientError> {
        let trust = Trust::PublicAnd(settings.extra_ca.as_deref());
        let tls = tls::config(trust, settings.identity.as_ref())?;
        Ok(Self::over(tls, settings.proxy.clone(), settings.connect_timeout, attempt_timeout))
    }

    /// Creates the client with this TLS configuration.
    pub(in crate::upstream) fn over(
        tls: Arc<rustls::ClientConfig>,
        proxy: Option<Url>,
        connect_timeout: Duration,
        attempt_timeout: Duration,
    ) -> Self {
        let connector = Connector::new(tls, proxy, connect_timeout);
        // A slow provider may answer a ping slowly, too.
        let ping_timeout = attempt_timeout.max(connect_timeout);
        let current = ArcSwap::from_pointee(connections(&connector, connect_timeout, ping_timeout));
        Self { connector, connect_timeout, ping_timeout, current }
    }

    /// Makes one attempt, within `limit` from connecting to the last byte of the body. `judge` looks at the status
    /// before the body is read.
    pub(in crate::upstream) async fn ask(
        &self,
        mut request: http::Request<Vec<u8>>,
        limit: Duration,
        judge: impl FnOnce(u16, &HeaderMap) -> Result<(), UpstreamError>,
    ) -> Result<Response, UpstreamError> {
        let wait = request.extensions_mut().remove::<WaitHeader>();
        let headers = request.headers_mut();
        // A declared kind may set its own `Accept`, for example to choose a version.
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.entry(USER_AGENT).or_insert(AGENT);
        let mut request = request.map(Full::from);
        let connection = capture_connection(&mut request);
        let progress = Arc::new(Progress::default());
        let exchange = Arc::clone(&progress).of(self.exchange(request, wait, judge));
        let ended = tokio::time::timeout(limit, exchange).await;
        let failure = match ended {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(Failure::Answer(error))) => return Err(error),
            Ok(Err(Failure::Transport(error))) => Some(error),
            Err(_) => None,
        };
        // Bytes that are not HTTP decide, even if another failure was noticed first.
        if first_bytes(&connection, &progress).is_some_and(|first_bytes| first_bytes.is_foreign()) {
            return Err(NOT_HTTP);
        }
        let Some(error) = failure else { return Err(self.timed_out(&connection, &progress, limit)) };
        tracing::debug!(target: targets::CLIENT, error = &*error as &dyn std::error::Error, "a call to a provider failed");
        Err(classify::transport(&*error))
    }

    async fn exchange(
        &self,
        request: http::Request<Full<Bytes>>,
        wait: Option<WaitHeader>,
        judge: impl FnOnce(u16, &HeaderMap) -> Result<(), UpstreamError>,
    ) -> Result<Response, Failure> {
        let client = self.renewed().client.clone();
        let response = client.request(request).await.map_err(|error| Failure::Transport(error.into()))?;
        let (mut head, body) = response.into_parts();
        retry_after::take_own(&mut head.headers, wait.as_ref());
        judge(head.status.as_u16(), &head.headers).map_err(Failure::Answer)?;
        if let Some(coding) = classify::compression(&head.headers) {
            let error = ParseError { field: "Content-Encoding", problem: coding };
            return Err(Failure::Answer(UpstreamError::Invalid(error)));
        }
        Ok(Response { headers: head.headers, body: read_body(body).await? })
    }

    /// Classifies a time-out. Without a connection within `connect_timeout`, the provider is unreachable. A connection that
    /// did not answer is not used again, because HTTP/2 would send the next attempt over it.
    fn timed_out(
        &self,
        connection: &CaptureConnection,
        progress: &Progress,
        limit: Duration,
    ) -> UpstreamError {
        if let Some(connected) = &*connection.connection_metadata() {
            connected.poison();
        } else if progress.is_connecting() && limit >= self.connect_timeout {
            return UpstreamError::Unreachable(Cause::ConnectTimeout);
        }
        UpstreamError::Timeout
    }

    /// The connections in use, replaced when they are too old. Calls on the old ones finish undisturbed.
    fn renewed(&self) -> Arc<Connections> {
        let now = clock::monotonic();
        let current = self.current.load_full();
        if now.saturating_duration_since(current.made_at) < MAX_LIFETIME {
            return current;
        }
        let fresh = Arc::new(connections(&self.connector, self.connect_timeout, self.ping_timeout));
        self.current.store(Arc::clone(&fresh));
        fresh
    }
}

const NOT_HTTP: UpstreamError = UpstreamError::Invalid(ParseError { field: "answer", problem: "not HTTP" });

fn connections(connector: &Connector, connect_timeout: Duration, ping_timeout: Duration) -> Connections {
    let client = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        // HTTP/2 ends a timed-out call but not its connection, which would be used again although it is dead.
        .http2_keep_alive_interval(connect_timeout)
        .http2_keep_alive_timeout(ping_timeout)
        .build(connector.clone());
    Connections { client, made_at: clock::monotonic() }
}

/// The first bytes of the connection that carried the request, or else of the one that was made for it.
fn first_bytes(connection: &CaptureConnection, progress: &Progress) -> Option<FirstBytes> {
    let mut extras = http::Extensions::new();
    if let Some(connected) = &*connection.connection_metadata() {
        connected.get_extras(&mut extras);
    }
    extras.remove().or_else(|| progress.first_bytes().cloned())
}

async fn read_body(mut body: Incoming) -> Result<BytesMut, Failure> {
    let too_large = || Failure::Answer(UpstreamError::TooLarge);
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Transport(error.into()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    Ok(BytesMut::from(String::from_utf8_lossy(bytes).as_bytes()))
}
