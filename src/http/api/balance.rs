//! `GET /v1/accounts/{account}/balance`: one balance.

use axum::extract::Request;
use axum::response::Response;

use super::item::{Item, asked, select};
use super::reply;
use crate::gateway::Found;
use crate::http::arrival::Arrival;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// `GET /v1/accounts/{account}/balance`.
pub(crate) async fn show(request: Request) -> Result<Response, Problem> {
    let (arrival, headers) = (Arrival::of(&request)?, request.headers());
    let api = arrival.api()?;
    let query = Query::parse(request.uri().query(), &["currency", "type", "not_before"])?;
    let open = arrival.account()?;
    let item = Item { open, slot: select(open, &query)? };
    let asked = asked(arrival, headers, &query, api.request_timeout)?;
    let write = |found: &Found, age| {
        reply::balance(found, open.account.limits(), open.cache_control.clone(), age, headers)
    };
    Ok(item.answer(api, arrival.caller()?, &asked, write).await)
}
