//! A TLS server in front of a simulated provider. It can break the layers below HTTP/1.1: TLS itself, and HTTP/2.
//!
//! A connection serves one request, so that each call of the gateway meets the current fault.

mod certificates;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Ping, Reason};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::harness;
use certificates::certificates;

/// The broken part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    /// An answer in plain text.
    NoTls,
    /// The end of the connection after the client's hello.
    CloseInHandshake,
    /// Silence after the client's hello.
    StallInHandshake,
    /// A certificate of an unknown authority.
    Stranger,
    /// A certificate for another host.
    AnotherHost,
    /// An expired certificate.
    Expired,
    /// The end of the connection after the handshake.
    CloseAfterHandshake,
    /// HTTP/2 was negotiated, and the server sends something else.
    NoHttp2,
    /// HTTP/2 was negotiated, and the server sends nothing.
    SilentHttp2,
    /// The stream is refused.
    RefuseStream,
    /// The stream is reset with `HTTP_1_1_REQUIRED`.
    WantHttp11,
    /// The connection is closed with `ENHANCE_YOUR_CALM`.
    GoAway,
    /// The stream is reset in the middle of the body.
    ResetBody,
}

/// Forwards to a provider until a test breaks it.
pub(super) struct Front {
    pub(super) url: String,
    state: Arc<State>,
    _stop: DropGuard,
}

struct State {
    provider: String,
    protocol: &'static [u8],
    broken: Mutex<Option<Break>>,
    /// How many connections or streams met the fault.
    met: AtomicUsize,
    open: AtomicUsize,
}

impl Break {
    const fn is_of_http2(self) -> bool {
        self.is_of_streams() || matches!(self, Self::NoHttp2 | Self::SilentHttp2)
    }

    /// Whether only a stream is broken, and the connection itself works.
    const fn is_of_streams(self) -> bool {
        matches!(self, Self::RefuseStream | Self::WantHttp11 | Self::GoAway | Self::ResetBody)
    }
}

impl Front {
    /// Starts in front of a provider at this URL, in the protocol that will be broken.
    pub(super) async fn start(provider: String, to_break: Break) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let protocol = if to_break.is_of_http2() { b"h2".as_slice() } else { b"http/1.1" };
        let (broken, met, open) = (Mutex::new(None), AtomicUsize::new(0), AtomicUsize::new(0));
        let state = Arc::new(State { provider, protocol, broken, met, open });
        let stop = CancellationToken::new();
        let accept = accept(listener, Arc::clone(&state), stop.clone());
        tokio::spawn(accept);
        Self { url, state, _stop: stop.drop_guard() }
    }

    /// The path of a file with the certificates that a client of this server must trust.
    pub(super) fn trusted() -> &'static str {
        &certificates().trusted
    }

    pub(super) fn begin(&self, broken: Break) {
        *self.state.broken.lock().unwrap() = Some(broken);
    }

    /// How many connections or streams met the fault.
    pub(super) fn met(&self) -> usize {
        self.state.met.load(Ordering::SeqCst)
    }

    /// Whether no connection is open.
    pub(super) fn is_idle(&self) -> bool {
        self.state.open.load(Ordering::SeqCst) == 0
    }
}

impl State {
    fn meets(&self) {
        self.met.fetch_add(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let (state, stop) = (Arc::clone(&state), stop.clone());
        state.open.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            // Many of these tests cause failed connections.
            let _ = stop.run_until_cancelled(serve(stream, &state)).await;
            state.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let broken = *state.broken.lock().unwrap();
    if broken.is_some_and(|broken| !broken.is_of_streams()) {
        state.meets();
    }
    match broken {
        Some(Break::NoTls) => {
            stream.read_u8().await?;
            return Ok(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?);
        }
        Some(Break::CloseInHandshake) => return Ok(stream.read_u8().await.map(drop)?),
        Some(Break::StallInHandshake) => return Ok(until_the_client_leaves(&mut stream).await?),
        _ => {}
    }
    let certificates = certificates();
    let identity = match broken {
        Some(Break::Stranger) => &certificates.stranger,
        Some(Break::AnotherHost) => &certificates.another_host,
        Some(Break::Expired) => &certificates.expired,
        _ => &certificates.valid,
    };
    let mut stream = TlsAcceptor::from(identity.config(state.protocol)).accept(stream).await?;
    match broken {
        Some(Break::CloseAfterHandshake) => stream.shutdown().await?,
        Some(Break::NoHttp2) => {
            stream.write_all(&b"no HTTP/2 ".repeat(100)).await?;
            until_the_client_leaves(&mut stream).await?;
        }
        Some(Break::SilentHttp2) => until_the_client_leaves(&mut stream).await?,
        _ if state.protocol == b"h2" => serve_http2(stream, state).await?,
        _ => {
            let address = state.provider.strip_prefix("http://").unwrap_or_default();
            let mut provider = TcpStream::connect(address).await?;
            copy_bidirectional(&mut stream, &mut provider).await?;
        }
    }
    Ok(())
}

async fn until_the_client_leaves(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

async fn serve_http2(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    state: &State,
) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let pings = Arc::new(tokio::sync::Mutex::new(connection.ping_pong().unwrap()));
    while let Some(accepted) = connection.accept().await {
        let (request, mut answer) = accepted?;
        let broken = *state.broken.lock().unwrap();
        if broken.is_some() {
            state.meets();
        }
        match broken {
            Some(Break::RefuseStream) => answer.send_reset(Reason::REFUSED_STREAM),
            Some(Break::WantHttp11) => answer.send_reset(Reason::HTTP_1_1_REQUIRED),
            Some(Break::GoAway) => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            Some(Break::ResetBody) => {
                let mut body = answer.send_response(Response::new(()), false)?;
                body.send_data(Bytes::from_static(b"{"), false)?;
                let pings = Arc::clone(&pings);
                tokio::spawn(async move {
                    // A reset discards bytes that have not been sent yet. The client's answer to a ping shows that the
                    // connection has sent all it had.
                    let answered = pings.lock().await.ping(Ping::opaque()).await;
                    answered.map(|_| body.send_reset(Reason::INTERNAL_ERROR))
                });
            }
            _ => {
                tokio::spawn(forward(request, answer, state.provider.clone()));
                connection.graceful_shutdown();
            }
        }
    }
    Ok(())
}

/// Forwards a call to the provider, and the answer back.
async fn forward(request: Request<h2::RecvStream>, mut answer: SendResponse<Bytes>, provider: String) {
    let (parts, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = incoming.data().await {
        body.extend(chunk.unwrap());
    }
    let url = format!("{provider}{}", parts.uri.path_and_query().unwrap());
    let request = harness::client().build().unwrap().request(parts.method, url).headers(parts.headers);
    let mut received = request.body(body).send().await.unwrap();
    let mut head = Response::builder().status(received.status()).body(()).unwrap();
    for name in ["age", "content-type"] {
        if let Some(value) = received.headers_mut().remove(name) {
            head.headers_mut().insert(name, value);
        }
    }
    let mut body = answer.send_response(head, false).unwrap();
    body.send_data(received.bytes().await.unwrap(), true).unwrap();
}
