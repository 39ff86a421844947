//! The answer type of the layers. A complete body is stored without a box.

use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::{Either, Full};

/// A body: complete, or streamed by a handler behind the router.
pub(super) type Body = Either<Full<Bytes>, axum::body::Body>;

/// An answer of the layers.
pub(super) type Response = http::Response<Body>;

/// A complete body.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// The answer of a handler behind the router, or a problem.
pub(super) fn from_router(answer: impl IntoResponse) -> Response {
    answer.into_response().map(Either::Right)
}
