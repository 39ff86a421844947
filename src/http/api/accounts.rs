//! `GET /v1/accounts` and `POST /v1/accounts/{account}/invalidate`.

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;

use super::item;
use crate::domain::{AccountName, BalanceType, Currency, ProviderName, snapshot};
use crate::gateway::Account;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;

#[derive(Serialize)]
struct Accounts<'a> {
    accounts: Vec<Described<'a>>,
}

#[derive(Serialize)]
struct Described<'a> {
    account: &'a AccountName,
    provider: &'a ProviderName,
    kind: &'a str,
    balances: Vec<Configured<'a>>,
    fresh_for_seconds: u64,
    max_age_seconds: u64,
    enabled: bool,
}

#[derive(Serialize)]
struct Configured<'a> {
    currency: Option<Currency>,
    r#type: Option<&'a BalanceType>,
}

/// `GET /v1/accounts`.
pub(crate) async fn list(request: Request) -> Result<Response, Problem> {
    let info = RequestInfo::of(&request)?;
    Query::parse(request.uri().query(), &[])?;
    let accounts = info.api()?.visible_accounts(info.caller()?).map(|open| describe(&open.account)).collect();
    Ok(not_stored(Json(Accounts { accounts })))
}

fn describe(account: &Account) -> Described<'_> {
    Described {
        account: account.name(),
        provider: account.provider(),
        kind: account.kind(),
        balances: account
            .balances()
            .iter()
            .map(|slot| Configured {
                currency: slot.selector.currency,
                r#type: slot.selector.r#type.as_ref(),
            })
            .collect(),
        fresh_for_seconds: account.limits().fresh_for.get().as_secs(),
        max_age_seconds: account.limits().max_age.get().as_secs(),
        enabled: account.is_enabled(),
    }
}

#[derive(Serialize)]
struct Invalidated {
    not_before: String,
}

/// `POST /v1/accounts/{account}/invalidate`: all balances of the account, or the one chosen.
pub(crate) async fn invalidate(request: Request) -> Result<Response, Problem> {
    let info = RequestInfo::of(&request)?;
    let query = Query::parse(request.uri().query(), &["currency", "type"])?;
    let open = info.account()?;
    let is_chosen = query.one("currency")?.is_some() || query.one("type")?.is_some();
    let slots =
        if is_chosen { std::slice::from_ref(item::select(open, &query)?) } else { open.account.balances() };
    let marked = info.api()?.gateway.invalidate(slots).await;
    Ok(not_stored(Json(Invalidated { not_before: snapshot::milliseconds(marked) })))
}

fn not_stored(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
