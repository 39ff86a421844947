//! The transport of calls: sockets in production, memory in tests with simulated time.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use http::header::HeaderMap;

use crate::domain::UpstreamError;
use crate::metrics::Operation;

/// A complete answer with a success status.
#[derive(Debug)]
pub struct Response {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body, without a byte order mark. Bytes that are not UTF-8 become U+FFFD, which makes a field that is
    /// read invalid.
    pub body: BytesMut,
}

/// The future of one attempt.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response, UpstreamError>> + Send + 'a>>;

/// Makes the calls to one provider.
pub trait Transport: Debug + Send + Sync {
    /// Makes one attempt, within `timeout` from connecting to the last byte of the body.
    fn send(&self, operation: Operation, request: http::Request<Vec<u8>>, timeout: Duration) -> Sending<'_>;
}
