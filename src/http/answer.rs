//! The answer type of the layers. A complete body is stored without a box.

use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::{Either, Full};

use crate::server;

/// A body: complete, or streamed by a handler behind the router.
pub(super) type Body = Either<Full<Bytes>, axum::body::Body>;

/// A response of the layers.
pub(super) type Response = http::Response<Body>;

/// An answer of the layers: a response with its delivery.
pub(super) type Reply = server::Reply<Body>;

/// A complete body.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// The answer of a handler behind the router, or a problem.
pub(super) fn from_router(answer: impl IntoResponse) -> Reply {
    Reply::from(answer.into_response().map(Either::Right))
}

/// Puts the delivery where `from_router` finds it.
impl IntoResponse for Reply {
    fn into_response(self) -> axum::response::Response {
        let Self { response, delivery, .. } = self;
        let mut response = response.map(axum::body::Body::new);
        response.extensions_mut().insert(delivery);
        response
    }
}
