//! The service that answers a connection's requests.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service};

use crate::server::{delivery::Reply, peer::Peer};

/// Answers requests. Every infallible tower service implements it; the peer is an extension of the request.
pub trait Respond: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers one request of this peer.
    fn respond(
        self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Reply<Self::Body>> + Send + 'static;
}

impl<S, B> Respond for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Body = B;

    async fn respond(self, mut request: Request<Incoming>, peer: Peer) -> Reply<B> {
        request.extensions_mut().insert(peer);
        // Axum's services are always ready.
        let mut service = self;
        let Ok(response) = service.call(request).await;
        response.into()
    }
}
