//! `GET /v1/accounts/{account}/balance`: one balance.

use axum::extract::Request;
use http::{HeaderMap, Uri};

use super::item::{Item, context, select};
use super::reply;
use crate::gateway::Found;
use crate::http::answer::Reply;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;

/// The handler behind the router.
pub(crate) async fn show(mut request: Request) -> Result<Reply, Problem> {
    let mut headers = std::mem::take(request.headers_mut());
    answer(RequestInfo::of(&request)?, request.uri(), &mut headers).await
}

/// Answers with one balance of the account that the request was admitted for. Reuses the map of `headers` for the
/// answer.
pub(crate) async fn answer(info: &RequestInfo, uri: &Uri, headers: &mut HeaderMap) -> Result<Reply, Problem> {
    let (api, caller, open) = (info.api()?, info.caller()?, info.account()?);
    let query = Query::parse(uri.query(), &["currency", "type", "not_before"])?;
    let item = Item { open, slot: select(open, &query)? };
    let context = context(info, headers, &query, api.request_timeout)?;
    let write = |found: &Found, age| {
        reply::balance(found, open.account.limits(), open.cache_control.clone(), age, std::mem::take(headers))
    };
    Ok(item.answer(api, caller, &context, write).await)
}
