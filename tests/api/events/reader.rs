//! A client of `/v1/events` that reads one event after the other.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use crate::harness::{Harness, KEY, record};

/// No event in these tests takes longer to arrive.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// An open stream.
pub(crate) struct Events {
    pub(crate) response: Response,
    unread: String,
}

/// One event, or a line outside of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// `event: NAME` with its data.
    Named(String, Value),
    /// A comment or a field without an event.
    Line(String),
    /// The end of the stream: complete, or cut.
    End { is_whole: bool },
}

impl Events {
    /// Opens a stream with the key that may read every account; the gateway must accept it.
    pub(crate) async fn open(gateway: &Harness, query: &str) -> Self {
        Self::open_with(gateway, query, KEY).await
    }

    pub(crate) async fn open_with(gateway: &Harness, query: &str, key: &str) -> Self {
        let request = gateway.request("GET", &format!("/v1/events{query}"), Some(key));
        Self::of(request.send().await.unwrap())
    }

    /// Reads the stream in this answer.
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { response, unread: String::new() }
    }

    /// The next event that is no comment; fails when it does not arrive in time.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            match self.next_block().await {
                Event::Line(line) if line.starts_with(':') => {}
                event => return event,
            }
        }
    }

    /// The next event or comment.
    pub(crate) async fn next_block(&mut self) -> Event {
        let block = timeout(TEST_TIMEOUT, self.block()).await.expect("an event arrives in time");
        match block {
            Ok(Some(block)) => parse(&block),
            Ok(None) => Event::End { is_whole: true },
            Err(_) => Event::End { is_whole: false },
        }
    }

    /// The data of the next event, which must be a `balance`.
    pub(crate) async fn balance(&mut self) -> Value {
        match self.next().await {
            Event::Named(name, data) if name == "balance" => data,
            other => panic!("no balance: {other:?}"),
        }
    }

    /// The data of the next event, which must be a `problem`.
    pub(crate) async fn problem(&mut self) -> Value {
        match self.next().await {
            Event::Named(name, data) if name == "problem" => data,
            other => panic!("no problem: {other:?}"),
        }
    }

    /// Reads `retry:`, which comes first.
    pub(crate) async fn begin(mut self) -> Self {
        assert_eq!(self.next_block().await, Event::Line("retry: 1000".to_owned()));
        self
    }

    async fn block(&mut self) -> reqwest::Result<Option<String>> {
        loop {
            if let Some((block, _)) = self.unread.split_once("\n\n") {
                let block = block.to_owned();
                self.unread.drain(..block.len() + 2);
                return Ok(Some(block));
            }
            let Some(chunk) = self.response.chunk().await? else { return Ok(None) };
            let text = std::str::from_utf8(&chunk).unwrap();
            record("seen", text);
            self.unread.push_str(text);
        }
    }
}

fn parse(block: &str) -> Event {
    let Some((name, data)) = block.split_once('\n') else { return Event::Line(block.to_owned()) };
    let name = name.strip_prefix("event: ").unwrap_or_else(|| panic!("no event: {block}"));
    let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {block}"));
    Event::Named(name.to_owned(), serde_json::from_str(data).unwrap())
}
