//! A page or one of its files. It needs no key, is the same for all readers, and loads nothing from other hosts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{StatusCode, Uri};
use sha2::{Digest, Sha256};

use crate::http::header;

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
pub(crate) const SVG: &str = "image/svg+xml";
pub(crate) const JSON: &str = "application/json";

/// A page may load, run and request only its own files and this API.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers with the body, or with 304 if the browser has it. Browsers revalidate each time, so no old script survives
/// an upgrade.
pub(crate) fn answer(
    content_type: &'static str,
    policy: &'static str,
    body: &'static str,
    request: &HeaderMap,
) -> Response {
    let etag = etag_of(body);
    let mut response = if header::matches(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(Bytes::from_static(body.as_bytes())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The last part of a path.
pub(crate) fn file_name(uri: &Uri) -> &str {
    uri.path().rsplit('/').next().unwrap_or_default()
}

/// The entity tag of a page. It is computed once per page, because anybody may request pages without limit.
fn etag_of(body: &'static str) -> HeaderValue {
    static ETAGS: Mutex<BTreeMap<usize, HeaderValue>> = Mutex::new(BTreeMap::new());
    let mut etags = ETAGS.lock().unwrap_or_else(PoisonError::into_inner);
    // The text of a page is static, so its address identifies it.
    etags.entry(body.as_ptr().addr()).or_insert_with(|| etag(body.as_bytes())).clone()
}

fn etag(body: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(body);
    let (tag, _) = digest.split_at(16);
    let tag = tag.iter().fold(0_u128, |tag, byte| tag << 8 | u128::from(*byte));
    header::value(format!("\"{tag:032x}\""))
}
