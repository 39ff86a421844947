//! `GET /v1/reconciliation`: a new read of every balance, with findings and sums, as JSON or CSV.

pub(crate) mod content_negotiation;
mod csv;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, VARY};
use serde::Serialize;

use super::batch::{self, Batch, ErrorItem, Missing};
use super::item::{self, Item};
use crate::domain::snapshot::{self, Extended};
use crate::domain::{Amount, Currency, CurrencySum, sums};
use crate::gateway::{Finding, Found, RequestContext};
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use content_negotiation::ReportFormat;

/// The body in JSON.
#[derive(Serialize)]
struct JsonBody<'a> {
    report_date: String,
    complete: bool,
    balances: Vec<Extended<'a, Finding>>,
    sums: Vec<SumItem>,
    errors: Vec<ErrorItem<'a>>,
}

/// The sum of one currency over the served balances.
#[derive(Serialize)]
struct SumItem {
    currency: Currency,
    available: Option<Amount>,
    balances: usize,
}

/// The parameters of its query.
pub(crate) const PARAMETERS: &[&str] = &["account", "not_before"];

/// `GET /v1/reconciliation`.
pub(crate) async fn report(request: Request) -> Response {
    let mut response = answer(request).await.unwrap_or_else(Problem::into_response);
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

async fn answer(request: Request) -> Result<Response, Problem> {
    let info = RequestInfo::of(&request)?;
    let api = info.api()?;
    let format = content_negotiation::negotiate(request.headers())
        .ok_or_else(|| Problem::new(Code::NotAcceptable, "supported: application/json, text/csv"))?;
    let query = Query::parse(request.uri().query(), PARAMETERS)?;
    let context = item::context(info, request.headers(), &query, batch::longest_wait(api))?;
    let context = RequestContext { directives: context.directives.or_new(), ..context };
    let batch = Batch::read(api, info, &query, &context).await?;
    let (body, content_type) = match format {
        ReportFormat::Json => (json(&batch, info), "application/json"),
        ReportFormat::Csv => (csv::write(&batch)?, "text/csv; charset=utf-8; header=present"),
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if matches!(format, ReportFormat::Csv)
        && let Ok(file_name) = HeaderValue::try_from(csv::file_name(info.moment.wall))
    {
        headers.insert(CONTENT_DISPOSITION, file_name);
    }
    batch.mark(&mut response);
    Ok(response)
}

fn finding(item: &Item<'_>, found: &Found) -> Finding {
    Finding::of(found.snapshot.reading(), &item.slot.alerts)
}

fn json(batch: &Batch<'_>, info: &RequestInfo) -> Vec<u8> {
    let available = batch.found().map(|(_, found)| found.snapshot.reading().available);
    let sum = |(currency, sum): (Currency, CurrencySum)| SumItem {
        currency,
        available: sum.total,
        balances: sum.count,
    };
    let missing = batch.missing();
    let body = JsonBody {
        report_date: snapshot::milliseconds(info.moment.wall),
        complete: missing.is_empty(),
        balances: batch.found().map(|(item, found)| found.snapshot.extended(finding(item, found))).collect(),
        sums: sums(available).into_iter().map(sum).collect(),
        errors: missing.iter().map(|missing| Missing::as_item(missing, info)).collect(),
    };
    // Texts and numbers serialise without failing.
    serde_json::to_vec(&body).unwrap_or_default()
}
