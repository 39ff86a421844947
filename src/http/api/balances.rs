//! `GET /v1/balances`: every balance that the caller may see, read in parallel.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use super::batch::{self, Batch, ErrorItem, Missing};
use super::item;
use crate::http::arrival::Arrival;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The parameters of its query.
pub(crate) const PARAMETERS: &[&str] = &["account", "provider", "not_before"];

/// `GET /v1/balances`.
pub(crate) async fn list(request: Request) -> Result<Response, Problem> {
    let arrival = Arrival::of(&request)?;
    let api = arrival.api()?;
    let query = Query::parse(request.uri().query(), PARAMETERS)?;
    let context = item::context(arrival, request.headers(), &query, batch::longest_wait(api))?;
    let batch = Batch::read(api, arrival, &query, &context).await?;
    Ok(write(&batch, arrival))
}

/// The body. The balances are the bodies that the snapshots carry.
#[derive(Serialize)]
struct List<'a> {
    balances: Vec<&'a RawValue>,
    errors: Vec<ErrorItem<'a>>,
    complete: bool,
}

fn write(batch: &Batch<'_>, arrival: &Arrival) -> Response {
    let missing = batch.missing();
    let body = List {
        balances: batch.found().map(|(_, found)| found.snapshot.json()).collect(),
        errors: missing.iter().map(|missing| Missing::as_item(missing, arrival)).collect(),
        complete: missing.is_empty(),
    };
    // Texts and numbers serialise without failing.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    batch.mark(&mut response);
    response
}
