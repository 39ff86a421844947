//! `GET /v1/balances`: every balance that the caller may see, read in parallel.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

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

/// Joins the bodies that the snapshots already carry.
fn write(batch: &Batch<'_>, arrival: &Arrival) -> Response {
    let balances: Vec<&[u8]> = batch.found().map(|(_, found)| found.snapshot.body().as_ref()).collect();
    let missing = batch.missing();
    let errors: Vec<ErrorItem<'_>> =
        missing.iter().map(|missing| Missing::as_item(missing, arrival)).collect();
    let body = [
        b"{\"balances\":[".as_slice(),
        &balances.join(&b','),
        b"],\"errors\":",
        // Texts and numbers serialise without failing.
        &serde_json::to_vec(&errors).unwrap_or_default(),
        if errors.is_empty() { b",\"complete\":true}" } else { b",\"complete\":false}" },
    ]
    .concat();
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    batch.mark(&mut response);
    response
}
