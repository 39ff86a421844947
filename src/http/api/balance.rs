//! `GET /v1/accounts/{account}/balance`: one balance.

use axum::extract::Request;
use http::{HeaderMap, Uri};

use super::item::{Item, asked, select};
use super::reply;
use crate::gateway::Found;
use crate::http::answer::Response;
use crate::http::arrival::{Admitted, Arrival};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The handler behind the router.
pub(crate) async fn show(request: Request) -> Result<Response, Problem> {
    let arrival = Arrival::of(&request)?;
    answer(arrival, arrival.admitted()?, request.uri(), request.headers()).await
}

/// Answers with one balance of the account that the request was admitted for.
pub(crate) async fn answer(
    arrival: &Arrival,
    admitted: &Admitted,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (api, caller, open) = (&admitted.api, &admitted.caller, admitted.account()?);
    let query = Query::parse(uri.query(), &["currency", "type", "not_before"])?;
    let item = Item { open, slot: select(open, &query)? };
    let asked = asked(arrival, caller, (headers, &query), api.request_timeout)?;
    let write = |found: &Found, age| {
        reply::balance(found, open.account.limits(), open.cache_control.clone(), age, headers)
    };
    Ok(item.answer(api, caller, &asked, write).await)
}
