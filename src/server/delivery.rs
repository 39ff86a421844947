//! What a service says of the delivery of one answer.

use std::time::Instant;

/// An extension of a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// After this the answer must not leave any more: a stream of HTTP/2 is reset, a connection of HTTP/1 is reset.
    pub taken_by: Option<Instant>,
    /// Whether the request proved whom it is from. Answers to strangers may not pile up.
    pub is_known: bool,
}
