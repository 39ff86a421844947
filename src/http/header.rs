//! Header values made by this crate, and `If-None-Match`, which every page and balance supports.

use std::cell::RefCell;

use bytes::BytesMut;
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use http::HeaderMap;
use http::header::HeaderValue;

/// Room for the texts of some thirty answers.
const TEXTS_CAPACITY: usize = 4 * 1024;
/// Longer than any header value written here.
const LONGEST_TEXT: usize = 256;

thread_local! {
    /// The values of many answers share one buffer. It is reused when no answer holds a part of it, so an answer needs
    /// no allocation for its values.
    static TEXTS: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(TEXTS_CAPACITY));
}

/// Makes a header value of the text that `write` writes. It may write digits, names and quotes.
pub(super) fn written(write: impl FnOnce(&mut BytesMut)) -> HeaderValue {
    TEXTS.with_borrow_mut(|texts| {
        texts.reserve(LONGEST_TEXT);
        write(texts);
        legal(HeaderValue::from_maybe_shared(texts.split().freeze()))
    })
}

/// Makes a header value from text of our own.
pub(super) fn value(text: String) -> HeaderValue {
    legal(HeaderValue::try_from(text))
}

fn legal<E>(value: Result<HeaderValue, E>) -> HeaderValue {
    value.unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Returns whether `If-None-Match` names this entity tag, by weak comparison. An unreadable header matches nothing.
pub(super) fn matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(Some(given)) = request.typed_try_get::<IfNoneMatch>() else { return false };
    let etag: Result<ETag, _> = etag.to_str().unwrap_or_default().parse();
    etag.is_ok_and(|etag| !given.precondition_passes(&etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_text_while_later_ones_are_written() {
        let text = |n: usize| format!("value-{n}");
        let values: Vec<_> = (0..TEXTS_CAPACITY)
            .map(|n| written(|texts| texts.extend_from_slice(text(n).as_bytes())))
            .collect();

        for (n, value) in values.iter().enumerate() {
            assert_eq!(value, &*text(n));
        }
    }
}
