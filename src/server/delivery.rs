//! Instructions of a service for the delivery of one answer.

use std::time::Instant;

/// An extension of a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// The deadline for sending the answer. After it, the HTTP/2 stream or the HTTP/1 connection is reset.
    pub taken_by: Option<Instant>,
    /// Whether the caller is known. The number of unread answers to strangers is bounded.
    pub is_known: bool,
}
