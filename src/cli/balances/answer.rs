//! The body of `/v1/balances`, as far as the table shows it.

use http::header::AGE;
use serde::Deserialize;

use crate::cli::client::{self, Client, ClientError, Problem};

/// The answer of the gateway.
#[derive(Deserialize)]
pub(super) struct BalancesBody {
    pub(super) balances: Vec<Balance>,
    pub(super) errors: Vec<Missing>,
    #[serde(rename = "complete")]
    pub(super) is_complete: bool,
    /// The age of the oldest balance, in seconds.
    #[serde(skip)]
    pub(super) age: u64,
    /// The body as it came.
    #[serde(skip)]
    pub(super) body: String,
}

/// One balance. Amounts stay text.
#[derive(Deserialize)]
pub(super) struct Balance {
    pub(super) account: String,
    pub(super) currency: String,
    pub(super) r#type: Option<String>,
    pub(super) available: String,
    pub(super) blocked: Option<String>,
    pub(super) total: Option<String>,
    pub(super) fetched_at: jiff::Timestamp,
}

/// One balance that could not be read.
#[derive(Deserialize)]
pub(super) struct Missing {
    pub(super) account: String,
    pub(super) currency: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) problem: Problem,
}

/// Asks for every balance.
pub(super) async fn ask(client: &Client) -> Result<BalancesBody, ClientError> {
    let client::GatewayAnswer { headers, body } = client.get("/v1/balances", "application/json").await?;
    let answer: BalancesBody = serde_json::from_str(&body).map_err(|_| client.not_a_gateway(200))?;
    Ok(BalancesBody { age: client::seconds(&headers, &AGE).unwrap_or(0), body, ..answer })
}
