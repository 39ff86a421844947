//! `GET /dashboard`: one page that asks for a caller key, keeps it in its tab's memory, and shows the balances of
//! `/v1/events`.

use axum::response::Response;
use http::{HeaderMap, Uri};

use super::page;
use crate::http::problem::{Code, Problem};

/// `GET /dashboard`.
pub(crate) async fn show(headers: HeaderMap) -> Response {
    page::answer(page::HTML, page::POLICY, include_str!("dashboard/index.html"), &headers)
}

/// `GET /dashboard/{file}`.
pub(crate) async fn file(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let (content_type, body) = match page::file_name(&uri) {
        "style.css" => (page::CSS, include_str!("dashboard/style.css")),
        "script.js" => (page::JAVASCRIPT, include_str!("dashboard/script.js")),
        "balances.js" => (page::JAVASCRIPT, include_str!("dashboard/balances.js")),
        "trend.js" => (page::JAVASCRIPT, include_str!("dashboard/trend.js")),
        "decimals.js" => (page::JAVASCRIPT, include_str!("dashboard/decimals.js")),
        "rows.js" => (page::JAVASCRIPT, include_str!("dashboard/rows.js")),
        "stream.js" => (page::JAVASCRIPT, include_str!("dashboard/stream.js")),
        "table.js" => (page::JAVASCRIPT, include_str!("dashboard/table.js")),
        "icon.svg" => (page::SVG, include_str!("dashboard/icon.svg")),
        _ => return Err(Problem::new(Code::NotFound, "the page has no file of this name")),
    };
    Ok(page::answer(content_type, page::POLICY, body, &headers))
}
