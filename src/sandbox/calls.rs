//! The log of calls. A call is logged when its head is complete; its answer is added later. So the log is in the order
//! of arrival, and contains calls without an answer.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{clock, http::Head};

/// Maximum of kept calls: about 30 MB, so that a sandbox may run for weeks.
const MAX_CALLS: usize = 50_000;

/// The operation of a call, decided by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A request for a balance.
    Balance,
    /// A request for a token.
    Token,
    /// The provider does not have this path.
    Other,
}

/// One call as the provider received it.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// The wall clock when the head had been received: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// The same moment on the monotonic clock.
    #[serde(skip)]
    pub instant: Instant,
    /// The operation.
    pub operation: Operation,
    /// The method as sent.
    pub method: String,
    /// The path and the query as sent.
    pub path_and_query: String,
    /// The headers in their original order and spelling.
    pub headers: Vec<(String, String)>,
    /// The body of a token call; empty for others, and until it is received.
    pub body: String,
    /// The sent status; `None` before the answer, or when a fault sends no status.
    pub status: Option<u16>,
    /// The monotonic moment just before the answer, or the bytes of a fault, were sent; `None` before that.
    #[serde(skip)]
    pub answered_at: Option<Instant>,
    /// The sent body of a balance, before any fault of delivery; empty for others.
    pub answer: String,
    /// The name of the fault of the call.
    pub fault: Option<&'static str>,
}

/// The latest calls, oldest first.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    calls: VecDeque<Call>,
    /// The number of calls dropped from the front, because of the limit or on request.
    dropped: usize,
}

/// Identifies a call in the log, also after older ones are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallId(usize);

impl Call {
    pub(super) fn new(head: &Head, operation: Operation, fault: Option<&'static str>) -> Self {
        Self {
            at: clock::timestamp(),
            instant: clock::now(),
            operation,
            method: head.method.clone(),
            path_and_query: head.target.clone(),
            headers: head.headers.clone(),
            body: String::new(),
            status: None,
            answered_at: None,
            answer: String::new(),
            fault,
        }
    }

    /// Returns the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(present, _)| present.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Records the answer that is about to be sent.
    pub(super) fn note_answer(&mut self, status: Option<u16>, body: &[u8]) {
        self.status = status;
        self.answered_at = Some(clock::now());
        if self.operation == Operation::Balance && status == Some(200) {
            self.answer = String::from_utf8_lossy(body).into_owned();
        }
    }

    /// Keeps the body of a token call; other calls have none.
    pub(super) fn keep_body(&mut self, body: &[u8]) {
        if self.operation == Operation::Token {
            self.body = String::from_utf8_lossy(body).into_owned();
        }
    }
}

impl CallLog {
    pub(super) fn enter(&mut self, call: Call) -> CallId {
        if self.calls.len() == MAX_CALLS {
            self.calls.pop_front();
            self.dropped += 1;
        }
        self.calls.push_back(call);
        CallId(self.dropped + self.calls.len() - 1)
    }

    /// Finds a call; `None` if it is no longer in the log.
    pub(super) fn find_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let index = id.0.checked_sub(self.dropped)?;
        self.calls.get_mut(index)
    }

    /// Whether the last request for a balance is younger than this.
    pub(super) fn has_balance_call_within(&self, time: Duration) -> bool {
        let last = self.calls.iter().rev().find(|call| call.operation == Operation::Balance);
        last.is_some_and(|call| clock::now().saturating_duration_since(call.instant) < time)
    }

    pub(super) fn to_vec(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn clear(&mut self) {
        self.dropped += self.calls.len();
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        let head = Head {
            method: "GET".to_owned(),
            target: "/api/balance".to_owned(),
            path: "/api/balance".to_owned(),
            query: String::new(),
            headers: vec![("X-Token".to_owned(), "abc".to_owned())],
            keep_alive: true,
            content_length: 0,
        };
        Call::new(&head, Operation::Balance, None)
    }

    #[test]
    fn a_header_is_found_in_any_case() {
        assert_eq!(call().header("x-token"), Some("abc"));
        assert_eq!(call().header("x-api-key"), None);
    }

    #[test]
    fn a_call_that_was_cleared_is_not_confused_with_a_later_one() {
        let mut log = CallLog::default();
        let cleared = log.enter(call());
        log.clear();

        let kept = log.enter(call());

        assert!(log.find_mut(cleared).is_none());
        assert!(log.find_mut(kept).is_some());
        assert_eq!(log.len(), 1);
    }

    #[test]
    fn the_log_forgets_the_oldest_call_first() {
        let mut log = CallLog::default();
        let first = log.enter(call());

        for _ in 0..MAX_CALLS {
            log.enter(call());
        }

        assert_eq!(log.len(), MAX_CALLS);
        assert!(log.find_mut(first).is_none());
    }
}
