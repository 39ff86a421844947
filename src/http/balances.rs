//! `GET /v1/balances`: every balance that the caller may see, read in parallel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::future::join_all;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::arrival::Arrival;
use super::balance::{self, Item};
use super::caller::Caller;
use super::problem::{self, Code, Problem};
use super::query::Query;
use super::{Api, clock};
use crate::domain::{BalanceType, Currency, UpstreamError, rounded_up};
use crate::gateway::{Asked, Found, Refusal};

/// A batch stops waiting this long before the whole-request deadline, to have time to write what it has.
const MARGIN: Duration = Duration::from_millis(500);

/// `GET /v1/balances`.
pub(super) async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let arrival = Arrival::of(&request)?;
    let caller = arrival.caller()?;
    let query = Query::parse(request.uri().query(), &["account", "provider", "not_before"])?;
    let longest = api.request_timeout.saturating_sub(MARGIN);
    let asked = balance::asked(arrival, request.headers(), &query, longest)?;
    let (items, not_found) = chosen(&api, caller, &query, asked.arrived.monotonic)?;
    caller.charge_batch(items.len() + not_found.len(), asked.arrived.monotonic).map_err(|retry_after| {
        Problem::new(Code::RateLimited, "a batch costs one unit per balance").retry_after(retry_after)
    })?;
    let results = read_all(&api, caller, &items, &asked).await;
    Ok(write(&items, &results, &not_found, arrival))
}

/// The balances that the filters choose, in the order of the answer, and the named accounts that are not there.
fn chosen<'a>(
    api: &'a Api,
    caller: &Caller,
    query: &Query<'_>,
    now: Instant,
) -> Result<(Vec<Item<'a>>, BTreeSet<String>), Problem> {
    let named: BTreeSet<&str> = query.all("account").collect();
    let provider = query.one("provider")?;
    let (mut open, mut not_found) = (Vec::new(), BTreeSet::new());
    if named.is_empty() {
        open.extend(api.visible_accounts(caller).filter(|open| open.account.is_enabled()));
    }
    for name in named {
        if let Some(account) = api.visible_account(caller, name) {
            open.push(account);
        } else {
            api.denied.write(Some(caller.name().as_str()), Some(name), "account_not_found", now);
            not_found.insert(name.to_owned());
        }
    }
    open.retain(|open| provider.is_none_or(|provider| open.account.provider().as_str() == provider));
    let mut items: Vec<Item<'a>> = open
        .into_iter()
        .flat_map(|open| open.account.balances().iter().map(move |slot| Item { open, slot }))
        .collect();
    items.sort_by(|a, b| {
        (a.open.account.name(), &a.slot.selector).cmp(&(b.open.account.name(), &b.slot.selector))
    });
    Ok((items, not_found))
}

/// Reads all in parallel. What passed the ceiling while others were waited for is looked up again, once.
async fn read_all(
    api: &Api,
    caller: &Caller,
    items: &[Item<'_>],
    asked: &Asked,
) -> Vec<Result<(Found, Duration), Refusal>> {
    let mut results = join_all(items.iter().map(|item| item.look_up(api, caller, asked))).await;
    let now = clock::now();
    let again = Asked { arrived: now, ..*asked };
    for (item, result) in items.iter().zip(&mut results) {
        if result.as_ref().is_ok_and(|found| item.age(found, now).is_none()) {
            *result = item.look_up(api, caller, &again).await;
        }
    }
    let now = clock::now();
    let judge = |(item, result): (&Item<'_>, Result<Found, Refusal>)| {
        let result = result.and_then(|found| match item.age(&found, now) {
            Some(age) => Ok((found, age)),
            None => Err(Refusal::Failed(UpstreamError::Timeout, None)),
        });
        item.count(&result, asked);
        result
    };
    items.iter().zip(results).map(judge).collect()
}

/// One balance that is not served.
#[derive(Serialize)]
struct ErrorItem<'a> {
    account: &'a str,
    currency: Option<Currency>,
    r#type: Option<&'a BalanceType>,
    problem: problem::Body<'a>,
}

/// Joins the bodies that the snapshots already carry.
fn write(
    items: &[Item<'_>],
    results: &[Result<(Found, Duration), Refusal>],
    not_found: &BTreeSet<String>,
    arrival: &Arrival,
) -> Response {
    let mut body = b"{\"balances\":[".to_vec();
    let mut oldest = Duration::ZERO;
    let mut problems = Vec::new();
    let mut is_first = true;
    for (item, result) in items.iter().zip(results) {
        match result {
            Ok((found, age)) => {
                if !std::mem::take(&mut is_first) {
                    body.push(b',');
                }
                body.extend_from_slice(found.snapshot.body());
                oldest = oldest.max(*age);
            }
            Err(refusal) => {
                let selector = Some(&item.slot.selector);
                problems.push((item.open.account.name().as_str(), selector, item.problem(*refusal)));
            }
        }
    }
    problems.extend(not_found.iter().map(|name| (name.as_str(), None, Problem::account_not_found(name))));
    problems.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let request_id = arrival.request_id.to_str().unwrap_or_default();
    let errors: Vec<_> = problems
        .iter()
        .map(|(account, selector, problem)| ErrorItem {
            account,
            currency: selector.and_then(|selector| selector.currency),
            r#type: selector.and_then(|selector| selector.r#type.as_ref()),
            problem: problem.body(request_id),
        })
        .collect();
    body.extend_from_slice(b"],\"errors\":");
    // Texts and numbers serialise without failing.
    body.extend_from_slice(&serde_json::to_vec(&errors).unwrap_or_default());
    body.extend_from_slice(if errors.is_empty() { b",\"complete\":true}" } else { b",\"complete\":false}" });
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !is_first {
        headers.insert(AGE, HeaderValue::from(rounded_up(oldest)));
    }
    response
}
