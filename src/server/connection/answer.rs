//! What answers a connection's requests, and an answer's body on its way out.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::{BoxError, Service};

use crate::server::peer::Peer;
use crate::server::peer_timeouts::Exchange;

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

/// An answer's body, which ends the exchange when hyper has taken all of it or gives it up.
pub(super) struct AnswerBody<B> {
    body: Option<B>,
    exchange: Exchange,
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
    pub(super) fn new(body: Option<B>, exchange: Exchange) -> Self {
        Self { body, exchange }
    }
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let polled = match &mut this.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        };
        if matches!(polled, Poll::Ready(None)) {
            this.exchange.end();
        }
        polled
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
