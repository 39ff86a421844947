//! `GET /v1/balances`: every balance that the caller may see, read in parallel.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use super::batch::{self, Batch, ErrorItem, Missing};
use super::item;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;

/// The parameters of its query.
pub(crate) const PARAMETERS: &[&str] = &["account", "provider", "not_before"];

/// `GET /v1/balances`.
pub(crate) async fn list(request: Request) -> Result<Response, Problem> {
    let info = RequestInfo::of(&request)?;
    let api = info.api()?;
    let query = Query::parse(request.uri().query(), PARAMETERS)?;
    let context = item::context(info, request.headers(), &query, batch::longest_wait(api))?;
    let batch = Batch::read(api, info, &query, &context).await?;
    Ok(write(&batch, info))
}

/// The JSON body. Each balance is the serialised body of its snapshot.
#[derive(Serialize)]
struct List<'a> {
    balances: Vec<&'a RawValue>,
    errors: Vec<ErrorItem<'a>>,
    complete: bool,
}

fn write(batch: &Batch<'_>, info: &RequestInfo) -> Response {
    let missing = batch.missing();
    let body = List {
        balances: batch.found().map(|(_, found)| found.snapshot.json()).collect(),
        errors: missing.iter().map(|missing| Missing::as_item(missing, info)).collect(),
        complete: missing.is_empty(),
    };
    // Texts and numbers serialise without failing.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    batch.mark(&mut response);
    response
}
