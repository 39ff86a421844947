//! `GET /v1/accounts/{account}/sufficiency`: the check right before a payment, always on a new read.

use std::time::Duration;

use axum::extract::Request;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use super::item::{self, Item};
use crate::domain::{Amount, Directives, PlainDecimal, Snapshot, rounded_up};
use crate::gateway::{RequestContext, Sufficiency};
use crate::http::answer::{Reply, Response, whole};
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use crate::http::state::OpenAccount;

/// The JSON body. `balance` is the serialised body of the snapshot.
#[derive(Serialize)]
struct Checked<'a> {
    sufficient: bool,
    amount: Amount,
    available: Amount,
    shortfall: Option<Amount>,
    balance: &'a RawValue,
}

/// `GET /v1/accounts/{account}/sufficiency`.
pub(crate) async fn check(request: Request) -> Result<Reply, Problem> {
    let info = RequestInfo::of(&request)?;
    let api = info.api()?;
    let query = Query::parse(request.uri().query(), &["amount", "currency", "type"])?;
    let open: &OpenAccount = info.account()?;
    let item = Item { open, slot: item::select(open, &query)? };
    let amount = amount(&query)?;
    let context = item::context(info, request.headers(), &query, api.request_timeout)?;
    if open.account.lags() {
        let detail = "the provider's figures may lag behind, so they prove nothing right before a payment";
        return Err(Problem::new(Code::ProviderLags, detail).about(&open.account));
    }
    let context = RequestContext { directives: Directives::default().or_new(), ..context };
    let write = |found: &crate::gateway::Found, age| write(&found.snapshot, amount, age);
    Ok(item.answer(api, info.caller()?, &context, write).await)
}

fn amount(query: &Query<'_>) -> Result<PlainDecimal, Problem> {
    let amount =
        query.one("amount")?.and_then(PlainDecimal::parse).filter(|amount| !amount.value().is_zero());
    amount.ok_or_else(|| {
        let expected =
            "amount must be above zero: digits, optionally a point and more digits, at most 28 in all";
        Problem::new(Code::InvalidRequest, expected)
    })
}

fn write(snapshot: &Snapshot, amount: PlainDecimal, age: Duration) -> Response {
    let available = snapshot.reading().available;
    let comparison = Sufficiency::of(available, amount);
    let checked = Checked {
        sufficient: comparison.is_sufficient,
        amount: comparison.amount,
        available,
        shortfall: comparison.shortfall,
        balance: snapshot.json(),
    };
    // Amounts serialise without failing.
    let body = serde_json::to_vec(&checked).unwrap_or_default();
    let mut response = Response::new(whole(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(AGE, HeaderValue::from(rounded_up(age)));
    response
}
