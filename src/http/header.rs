//! Header values that this crate makes, and the one conditional header that every page and balance obeys.

use headers::{ETag, HeaderMapExt, IfNoneMatch};
use http::HeaderMap;
use http::header::HeaderValue;

/// Makes a header value from text of our own: digits, names and quotes are legal in one.
pub(super) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Returns whether `If-None-Match` names this entity tag, by weak comparison. An unreadable header matches nothing.
pub(super) fn matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(Some(given)) = request.typed_try_get::<IfNoneMatch>() else { return false };
    let etag: Result<ETag, _> = etag.to_str().unwrap_or_default().parse();
    etag.is_ok_and(|etag| !given.precondition_passes(&etag))
}
