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
/// Room for the fields of an answer, including those of the layers. A map that grows hashes each field again.
const FIELDS: usize = 16;
/// The capacity of a map that has reserved room for [`FIELDS`].
const CAPACITY: usize = 24;

thread_local! {
    /// The values of many answers share one buffer. It is reused when no answer holds a part of it, so an answer needs
    /// no allocation for its values.
    static TEXTS: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(TEXTS_CAPACITY));
}

/// Makes a header value of the text that `write` writes. `write` may write digits, names and quotes.
pub(super) fn written(write: impl FnOnce(&mut BytesMut)) -> HeaderValue {
    TEXTS.with_borrow_mut(|texts| {
        texts.reserve(LONGEST_TEXT);
        write(texts);
        or_empty(HeaderValue::from_maybe_shared(texts.split().freeze()))
    })
}

/// Empties the map of a request, for its answer. hyper uses the map again for the next request, so no request allocates
/// one.
pub(super) fn emptied(mut request: HeaderMap) -> HeaderMap {
    // The memory of a large head would stay with the connection.
    if request.capacity() > CAPACITY {
        return HeaderMap::with_capacity(FIELDS);
    }
    request.clear();
    request.reserve(FIELDS);
    request
}

/// Makes a header value from text of our own.
pub(super) fn value(text: String) -> HeaderValue {
    or_empty(HeaderValue::try_from(text))
}

fn or_empty<E>(value: Result<HeaderValue, E>) -> HeaderValue {
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
    fn the_map_of_an_answer_is_empty_and_of_one_size() {
        for fields in [0, 3, 16, 24, 25, 100] {
            let field =
                |n: usize| (format!("x-{n}").parse::<http::HeaderName>().unwrap(), HeaderValue::from(n));

            let map = emptied((0..fields).map(field).collect());

            assert_eq!((map.len(), map.capacity()), (0, CAPACITY), "{fields}");
        }
    }

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
