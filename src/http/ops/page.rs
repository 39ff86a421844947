//! `GET /` on the operations port: the state of this instance as one page for people. It has no script, loads nothing,
//! and shows no secret and no amount.

mod instance;
mod problems;
mod tables;
mod time;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::gateway::Status;
use crate::http::header;
use crate::http::pages::html::Html;
pub(super) use instance::Instance;
use problems::problems;

const STYLE: &str = include_str!("page/style.css");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page at this moment.
pub(super) fn answer(status: &Status, instance: &Instance, now: Timestamp) -> Response {
    let mut response = render(status, instance, now).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Allows the page's own style and an empty icon, nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    header::value(format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
});

fn render(status: &Status, instance: &Instance, now: Timestamp) -> String {
    let mut page = Html::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"refresh\" content=\"5\">\n")
        .raw("<title>Balance Gateway: operations</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n");
    heading(&mut page, instance, now);
    page.raw("<main>\n");
    summary(&mut page, &problems(status, instance, now));
    tables::providers(&mut page, &status.providers, now);
    tables::accounts(&mut page, &status.accounts, now);
    tables::balances(&mut page, &status.accounts);
    page.raw("</main>\n</body>\n</html>\n");
    page.into_text()
}

fn heading(page: &mut Html, instance: &Instance, now: Timestamp) {
    page.raw("<header>\n<h1>Balance Gateway</h1>\n");
    if instance.is_draining {
        page.raw("<strong class=\"bad\">draining</strong>\n");
    } else {
        page.raw("<strong class=\"good\">ready</strong>\n");
    }
    let replicas = match (instance.is_sharing, instance.replicas) {
        (Some(true), _) => "shares balances with the other replicas".to_owned(),
        (Some(false), _) => "does not reach the shared store".to_owned(),
        (None, 1) => "the only replica".to_owned(),
        (None, replicas) => format!("one of {replicas} replicas, each with its own cache"),
    };
    let clock = now.strftime("%H:%M:%S UTC");
    page.raw("<p>").text(&format!("Version {VERSION}, {replicas}. {clock}; refreshes every 5 seconds."));
    page.raw("</p>\n<nav><a href=\"/status\">JSON</a> <a href=\"/metrics\">Metrics</a></nav>\n</header>\n");
}

fn summary(page: &mut Html, problems: &[String]) {
    if problems.is_empty() {
        page.raw("<p class=\"notice good\">No problems.</p>\n");
        return;
    }
    page.raw("<ul class=\"notice bad\">\n");
    for problem in problems {
        page.element("li", problem).raw("\n");
    }
    page.raw("</ul>\n");
}
