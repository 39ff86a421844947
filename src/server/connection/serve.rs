//! Serves one connection from its first byte to its end: answers and shutdown.
//!
//! hyper's own header timeout is off: it would also cut idle connections, and it costs a timer per request.
//! `peer_timeouts` bounds both instead.

use std::{error::Error, pin::Pin, sync::Arc, task::Poll, time::Duration};

use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncRead,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    answer_body::{AnswerBody, refused_head},
    context::ListenerContext,
    open::open,
    respond::Respond,
    stream_task::{self, StreamTasks},
};
use crate::metrics::ConnectionRefusal;
use crate::server::{
    delivery::Reply,
    open_ended::OpenEnded,
    peer::Peer,
    peer_timeouts::{ConnectionState, Exchange, Protocol, TimedStream},
    wire::Transport,
};

/// Maximum size of a head, request line included. For HTTP/2, the size after HPACK decompression.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// Maximum number of fields of a head. For HTTP/1 this is hyper's default, with which hyper keeps them on the stack.
const MAX_FIELDS: usize = 100;
/// HTTP/2 only: maximum of concurrent requests on one connection.
const MAX_STREAMS: u32 = 100;
/// HTTP/2 only: bytes of one request's body that a peer may send ahead. Bodies over 4 KiB are refused.
const STREAM_WINDOW: u32 = 16 * 1024;
/// HTTP/2 only: the same for all requests of a connection. The protocol's minimum is one byte less.
const CONNECTION_WINDOW: u32 = 64 * 1024;
/// HTTP/2 only: the interval of pings, and the time for their answer. A dead peer is detected after both, long before
/// `idle_timeout`.
const PING: Duration = Duration::from_secs(20);
/// Time that a connection has for its handshake and its first bytes after accepting has stopped. A first request
/// follows its handshake much sooner, and this is only a small part of `drain_timeout`.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);
/// How long the server discards further bytes of the peer after its last answer. A close with unread bytes would reset
/// the connection and lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// One connection of a listener.
struct Connection<S> {
    context: ListenerContext<S>,
    peer: Peer,
    state: Arc<ConnectionState>,
}

/// Serves a connection that was accepted at `accepted` until it ends by itself or is dropped.
pub(in crate::server) async fn serve<S: Respond>(
    stream: TcpStream,
    accepted: Instant,
    peer: Peer,
    context: ListenerContext<S>,
) {
    let state = ConnectionState::new(
        accepted,
        *context.settings.current(),
        context.shutdown.clone(),
        &context.memory,
    );
    let connection = Connection { context, peer, state };
    let opened = tokio::select! {
        biased;
        opened = open(stream, accepted, peer, &connection.context, &connection.state) => opened,
        () = connection.first_request_overdue() => return,
    };
    match opened {
        Some((Protocol::Http1, io)) => connection.serve_http1(io).await,
        Some((Protocol::Http2, io)) => connection.serve_http2(io).await,
        None => connection.end(false),
    }
}

impl<S: Respond> Connection<S> {
    async fn first_request_overdue(&self) {
        self.context.shutdown.stopped_accepting().await;
        sleep(FIRST_REQUEST_GRACE).await;
    }

    async fn serve_http1(&self, io: TimedStream<Transport>) {
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(MAX_HEAD_BYTES as usize)
            .serve_connection(TokioIo::new(io), service_fn(|request| self.answer(request)));
        // The server waits for the rest of a head that has begun. The connection closes after the answer.
        let may_close = || !self.state.reads_head();
        let ended =
            self.drive(Pin::new(&mut connection), http1::Connection::graceful_shutdown, may_close).await;
        let is_unreadable = ended.is_err_and(|error| error.is_parse());
        self.end(is_unreadable);
        // The peer may still send its unread body.
        if is_unreadable || self.state.had_body() {
            linger(connection.into_parts().io.into_inner()).await;
        }
    }

    async fn serve_http2(&self, io: TimedStream<Transport>) {
        let connection = http2::Builder::new(StreamTasks)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_header_list_size(MAX_HEAD_BYTES)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(TokioIo::new(io), service_fn(|request| self.answer(request)));
        let connection = std::pin::pin!(connection);
        // After GOAWAY, requests that the peer has already sent are still served.
        let ended = self.drive(connection, http2::Connection::graceful_shutdown, || true).await;
        // Counts only faults of the peer: a protocol violation, or too many costly frames.
        let is_broken_rule = |error: &h2::Error| error.is_library();
        let cause = ended.as_ref().err().and_then(Error::source).and_then(|error| error.downcast_ref());
        self.end(cause.is_some_and(is_broken_rule));
    }

    /// Polls the connection to its end. It starts the shutdown once: when an answer requires it, or when accepting has
    /// stopped and the connection may close.
    async fn drive<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        close: impl Fn(Pin<&mut C>),
        may_close: impl Fn() -> bool,
    ) -> C::Output {
        let mut stop = self.context.shutdown.watch_stop();
        let mut is_closing = false;
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                let stopped = stop.poll_stopped(cx);
                if is_closing || !(self.state.must_close() || stopped && may_close()) {
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
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<AnswerBody<S::Body>>, h2::Error>> + use<S> {
        let mut exchange = Exchange::begin(&self.state, !request.body().is_end_stream());
        // On HTTP/1, hyper has already refused such a head. On HTTP/2, it is refused here.
        let is_refused = request.headers().len() > MAX_FIELDS;
        if is_refused {
            self.refuse_head();
        }
        let (service, peer) = (self.context.service.clone(), self.peer);
        async move {
            let protocol =
                if request.version() < Version::HTTP_2 { Protocol::Http1 } else { Protocol::Http2 };
            let Reply { mut response, delivery, made_at } =
                if is_refused { refused_head() } else { service.respond(request, peer).await.map(Some) };
            let frames = response.extensions_mut().remove::<OpenEnded>();
            if frames.is_some() {
                exchange.open_end();
            }
            if exchange.has_too_many_unread(delivery) {
                return Err(h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM));
            }
            stream_task::bound(delivery.taken_by.map(Instant::from_std));
            let now = made_at.map_or_else(Instant::now, Instant::from_std);
            let must_leave = exchange.answer(now, is_refused, delivery, protocol);
            if must_leave && protocol == Protocol::Http1 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnswerBody::new(body, exchange, protocol, frames)))
        }
    }

    /// Counts a connection that ended because of a head.
    fn end(&self, is_unreadable: bool) {
        if is_unreadable || self.state.is_late() {
            self.refuse_head();
        }
    }

    /// Counts a refused head, once per connection.
    fn refuse_head(&self) {
        if self.state.refuse_head() {
            self.context.count_refusal(ConnectionRefusal::Head);
        }
    }
}

async fn linger(mut io: impl AsyncRead + Unpin) {
    // The result does not matter: the connection is over.
    let _ = timeout(LINGER, tokio::io::copy(&mut io, &mut tokio::io::sink())).await;
}
