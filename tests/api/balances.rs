//! Reading balances: the schema, its digits, the choice of a balance, batches, and every header of an answer.

mod batch;
mod caching;
mod conditional;
mod protocol;
mod single;

use std::fmt::Write;
use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{self, Harness, KEY, Reply, SWITCHED_OFF, Setup};

const PLUGGO: &str = "/v1/accounts/pluggo-demo/balance";
const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";

/// A pluggo account whose balance is read without filters.
const UNFILTERED: &str = r#"
[accounts.unfiltered]
provider = "pluggo"
api_key = { env = "PLUGGO_API_KEY" }
session_token = { env = "PLUGGO_SESSION_TOKEN" }
"#;

async fn with_further(further: &str) -> Harness {
    Harness::start(Setup { further: further.to_owned(), ..Setup::default() }).await
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {body}"))
}

#[track_caller]
fn assert_instant(text: &str) {
    let instant: jiff::Timestamp = text.parse().unwrap();
    assert!(text.ends_with('Z') && text.len() == "2025-11-19T20:18:29.384Z".len(), "{text}");
    assert!(jiff::Timestamp::now().duration_since(instant).unsigned_abs() < Duration::from_mins(1));
}
