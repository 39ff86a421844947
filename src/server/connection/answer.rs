//! What answers a connection's requests, and an answer's body on its way out.

use std::{
    convert::Infallible,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::{BoxError, Service};

use crate::server::peer::Peer;
use crate::server::peer_timeouts::{Exchange, HandOver, Protocol};

/// What answers requests. A tower service that cannot fail does; it finds the peer among a request's extensions.
pub trait Answers: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data: Buf + Send, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers one request of this peer.
    fn answer(
        self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;
}

/// An answer's body. The exchange ends when its last bytes are written, or given up.
pub(super) struct AnswerBody<B> {
    body: Option<B>,
    /// Goes along with the last bytes.
    exchange: Option<Exchange>,
    _hand_over: Option<HandOver>,
}

/// Bytes of an answer, until hyper or h2 has written them.
pub(super) struct AnswerData<D> {
    data: D,
    exchange: Option<Exchange>,
}

impl<D: Buf> Buf for AnswerData<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.note_written();
        }
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if let Some(exchange) = &mut self.exchange {
            exchange.note_written();
        }
        self.data.copy_to_bytes(len)
    }
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

    async fn answer(self, mut request: Request<Incoming>, peer: Peer) -> Response<B> {
        request.extensions_mut().insert(peer);
        // Axum's services are always ready.
        let mut service = self;
        let Ok(response) = service.call(request).await;
        response
    }
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: Option<B>, exchange: Exchange, protocol: Protocol) -> Self {
        let hand_over = if protocol == Protocol::Http2 { exchange.hand_over() } else { None };
        Self { body, exchange: Some(exchange), _hand_over: hand_over }
    }
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = AnswerData<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.get_mut();
        let polled = match &mut this.body {
            Some(body) => ready!(Pin::new(body).poll_frame(cx)),
            None => None,
        };
        let Some(frame) = polled else {
            if let Some(exchange) = &this.exchange {
                exchange.end();
            }
            return Poll::Ready(None);
        };
        let is_last = this.is_end_stream();
        let data = |data| {
            let exchange = if is_last { this.exchange.take() } else { None };
            AnswerData { data, exchange }
        };
        Poll::Ready(Some(frame.map(|frame| frame.map_data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The answer to a head that has too many fields.
pub(super) fn refused_head<B>() -> Response<Option<B>> {
    let mut refusal = Response::new(None);
    *refusal.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    refusal
}
