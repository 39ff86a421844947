//! What the layers answer with: a body that is complete needs no box.

use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::{Either, Full};

/// A body: complete, or as a handler behind the router made it.
pub(super) type Body = Either<Full<Bytes>, axum::body::Body>;

/// An answer on its way through the layers.
pub(super) type Response = http::Response<Body>;

/// A complete body.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// The answer of a handler behind the router, or a problem.
pub(super) fn from_router(answer: impl IntoResponse) -> Response {
    answer.into_response().map(Either::Right)
}
