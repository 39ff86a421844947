//! One connection, from its first byte to its end: which protocol it speaks, its answers, and how it leaves.
//!
//! hyper's own header timeout would also cut idle connections and costs a timer per request; `pace` has both bounds.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, Service};

use super::{
    Live,
    listener::{ListenerSettings, Peer},
    pace::{Exchange, Pace, Paced, Protocol},
};
use crate::{
    metrics::{ConnectionRefusal, Metrics},
    shutdown::Shutdown,
};

/// The size of a head, request line included; in HTTP/2 the size that HPACK unpacks to.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// A head's fields; for HTTP/1 it is hyper's default, which keeps them on the stack.
const MAX_FIELDS: usize = 100;
/// HTTP/2 only: a dead peer is found after two of these, long before `idle_timeout`.
const PING: Duration = Duration::from_secs(20);
/// After accepting has stopped, for a connection without a byte: more than a first request needs to follow its
/// handshake, little of `drain_timeout`.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);
/// How long a refused peer is listened to: closing on unread bytes would reset it, and the refusal would be lost.
const LINGER: Duration = Duration::from_secs(1);

/// What answers requests: a tower service that cannot fail.
pub trait Answers: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data: Buf + Send, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers one request.
    fn answer(
        self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;
}

/// What all connections of one listener have in common.
#[derive(Clone, Debug)]
pub(super) struct Site<S> {
    pub(super) service: S,
    pub(super) settings: Live<ListenerSettings>,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) shutdown: Shutdown,
}

/// One connection of a site.
struct Conversation<S> {
    site: Site<S>,
    peer: Peer,
    pace: Arc<Pace>,
}

/// An answer's body, which ends the exchange when hyper has taken all of it or gives it up.
struct AnswerBody<B> {
    body: Option<B>,
    _exchange: Exchange,
}

impl<S, B> Answers for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data: Buf + Send, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Body = B;

    async fn answer(self, request: Request<Incoming>) -> Response<B> {
        // Axum's services are always ready.
        let mut service = self;
        let Ok(response) = service.call(request).await;
        response
    }
}

/// Serves a connection that was accepted at `accepted` until it ends by itself or is dropped.
pub(super) async fn serve<T, S>(io: T, accepted: Instant, peer: Peer, site: Site<S>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Answers,
{
    let pace = Pace::new(accepted, *site.settings.current(), site.shutdown.clone());
    let mut io = Paced::new(io, Arc::clone(&pace));
    let conversation = Conversation { site, peer, pace };
    let opened = tokio::select! {
        biased;
        opened = io.open() => opened,
        () = conversation.first_request_overdue() => return,
    };
    match opened {
        Ok(Some(Protocol::Http1)) => conversation.serve_http1(io).await,
        Ok(Some(Protocol::Http2)) => conversation.serve_http2(io).await,
        Ok(None) | Err(_) => conversation.end(false),
    }
}

impl<S: Answers> Conversation<S> {
    async fn first_request_overdue(&self) {
        self.site.shutdown.stopped_accepting().await;
        sleep(FIRST_REQUEST_GRACE).await;
    }

    async fn serve_http1(&self, io: Paced<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>) {
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(MAX_HEAD_BYTES as usize)
            .serve_connection(TokioIo::new(io), service_fn(|request| self.answer(request)));
        // A head that has begun is waited for: its answer will say goodbye.
        let may_close = || !self.pace.reads_head();
        let ended =
            self.drive(Pin::new(&mut connection), http1::Connection::graceful_shutdown, may_close).await;
        let is_unreadable = ended.is_err_and(|error| error.is_parse());
        self.end(is_unreadable);
        if is_unreadable {
            linger(connection.into_parts().io.into_inner()).await;
        }
    }

    async fn serve_http2(&self, io: Paced<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_header_list_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(io), service_fn(|request| self.answer(request)));
        let connection = std::pin::pin!(connection);
        // GOAWAY lets the requests through that are on their way.
        let ended = self.drive(connection, http2::Connection::graceful_shutdown, || true).await;
        self.end(ended.is_err() && self.pace.reads_head() && !self.pace.is_gone());
    }

    /// Polls the connection to its end, and once tells it to close: when an answer has asked for it, or accepting has
    /// stopped and it may.
    async fn drive<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        close: impl Fn(Pin<&mut C>),
        may_close: impl Fn() -> bool,
    ) -> C::Output {
        let mut stop = self.site.shutdown.watch_stop();
        let mut is_closing = false;
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                let stopped = stop.poll_stopped(cx);
                if is_closing || !(self.pace.is_leaving() || stopped && may_close()) {
                    return Poll::Pending;
                }
                is_closing = true;
                close(connection.as_mut());
            }
        })
        .await
    }

    /// Begins one exchange. On HTTP/2 the future becomes a task of its own.
    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<AnswerBody<S::Body>>, Infallible>> + use<S> {
        let mut exchange = Exchange::begin(&self.pace);
        let service = self.site.service.clone();
        request.extensions_mut().insert(self.peer);
        async move {
            let is_http1 = request.version() < Version::HTTP_2;
            let mut response = if request.headers().len() > MAX_FIELDS {
                refused_head()
            } else {
                service.answer(request).await.map(Some)
            };
            let must_leave = exchange.answer(Instant::now());
            if must_leave && is_http1 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnswerBody { body, _exchange: exchange }))
        }
    }

    /// Counts a connection that ended before its head was understood.
    fn end(&self, is_unreadable: bool) {
        if let Some(metrics) = &self.site.metrics
            && (is_unreadable || self.pace.is_late())
        {
            metrics.connection_refused(ConnectionRefusal::Head);
        }
    }
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.get_mut().body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

fn refused_head<B>() -> Response<Option<B>> {
    let mut refusal = Response::new(None);
    *refusal.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    refusal
}

async fn linger(mut io: impl AsyncRead + Unpin) {
    // Whatever comes of it, the connection is over.
    let _ = timeout(LINGER, tokio::io::copy(&mut io, &mut tokio::io::sink())).await;
}
