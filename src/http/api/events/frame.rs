//! The text format of an event stream (server-sent events, WHATWG HTML standard).

use std::time::Instant;

use bytes::Bytes;

/// A piece of the stream's text.
pub(super) struct Frame {
    pub(super) text: Bytes,
    /// When the balance in it reaches the ceiling.
    pub(super) taken_by: Option<Instant>,
}

impl Frame {
    /// A text without a balance.
    pub(super) fn unbound(text: Bytes) -> Self {
        Self { text, taken_by: None }
    }
}

/// The first frame: the delay before a client reconnects, in milliseconds.
pub(super) const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");
/// A comment, sent after a period of silence. Clients ignore it.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
/// The last event. It has a data line, because clients drop events without one.
pub(super) const BYE: Bytes = Bytes::from_static(b"event: bye\ndata: {}\n\n");

/// A `balance` event; `json` is on one line.
pub(super) fn balance(json: &[u8]) -> Bytes {
    event("balance", json)
}

/// A `problem` event; `json` is on one line.
pub(super) fn problem(json: &[u8]) -> Bytes {
    event("problem", json)
}

fn event(name: &str, json: &[u8]) -> Bytes {
    [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_name_one_line_of_data_and_an_empty_line() {
        assert_eq!(balance(b"{}"), "event: balance\ndata: {}\n\n");
        assert_eq!(problem(b"{}"), "event: problem\ndata: {}\n\n");
    }
}
