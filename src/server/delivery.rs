//! An answer with the instructions of its service for the delivery.

use std::time::Instant;

use http::Response;

/// The instructions for one answer. Through a router, they travel as an extension of the response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// The deadline for sending the answer. After it, the HTTP/2 stream or the HTTP/1 connection is reset.
    pub taken_by: Option<Instant>,
    /// Whether the caller is known. The number of unread answers to strangers is bounded.
    pub is_known: bool,
}

/// A response with the instructions for its delivery.
#[derive(Debug)]
pub struct Reply<B> {
    /// The response.
    pub response: Response<B>,
    /// Its delivery.
    pub delivery: Delivery,
    /// When the response was made; `None` if the service has not read the clock since its last wait.
    pub made_at: Option<Instant>,
}

impl<B> Reply<B> {
    /// The same reply with another body.
    #[must_use]
    pub fn map<C>(self, change: impl FnOnce(B) -> C) -> Reply<C> {
        Reply { response: self.response.map(change), delivery: self.delivery, made_at: self.made_at }
    }
}

/// Takes the instructions out of the response's extensions.
impl<B> From<Response<B>> for Reply<B> {
    fn from(mut response: Response<B>) -> Self {
        let delivery = response.extensions_mut().remove().unwrap_or_default();
        Self { response, delivery, made_at: None }
    }
}
