//! Writes the answer with one balance: status, body and headers.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Limits, Moment, rounded_up};
use crate::gateway::{Absence, Found, Refusal, Via};
use crate::http::answer::{Response, whole};
use crate::http::header;
use crate::http::seconds;
use crate::metrics::Outcome;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// `Cache-Control` of an answer that the caller's cache must revalidate each time.
const NOT_KEPT: &str = "private, max-age=0, must-revalidate";

/// A served balance with its age, or the reason why none is served.
pub(crate) type Served = Result<(Found, Duration), Refusal>;

/// Answers with the balance, or with 304 if the caller already has this body. `request` is the header map of the
/// request; the answer reuses it.
pub(crate) fn balance(
    found: &Found,
    limits: Limits,
    cache_control: HeaderValue,
    age: Duration,
    request: HeaderMap,
) -> Response {
    let etag = HeaderValue::from_maybe_shared(found.snapshot.etag().clone());
    let etag = etag.unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let is_known = header::matches(&request, &etag);
    let mut headers = header::emptied(request);
    headers.insert(AGE, seconds::age(rounded_up(age)));
    let cache_control =
        if may_be_kept(found.via, limits, age) { cache_control } else { HeaderValue::from_static(NOT_KEPT) };
    headers.insert(CACHE_CONTROL, cache_control);
    headers.insert(ETAG, etag);
    headers.insert(CACHE_STATUS, cache_status(found.via, limits, age));
    let mut response = if is_known {
        let mut response = Response::new(whole(Bytes::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Response::new(whole(found.snapshot.body().clone()))
    };
    *response.headers_mut() = headers;
    response
}

/// `Cache-Status` (RFC 9211).
fn cache_status(via: Via, limits: Limits, age: Duration) -> HeaderValue {
    if let (Via::Memory { .. }, Some(ttl)) = (via, limits.fresh_for.get().checked_sub(age))
        && let Some(hit) = seconds::fresh_hit(ttl.as_secs())
    {
        return hit;
    }
    let mut text = String::with_capacity(64);
    text.push_str("balance-gateway; ");
    match via {
        Via::Memory { is_failing } => {
            write_hit(&mut text, limits, age);
            if is_over_fresh_for(limits, age) {
                text.push_str(if is_failing { "; detail=stale-if-error" } else { "; detail=stale" });
            }
        }
        Via::Fallback => {
            write_hit(&mut text, limits, age);
            text.push_str("; detail=stale-if-error");
        }
        Via::Read { absence, is_collapsed } => {
            let forward = match absence {
                Absence::UriMiss => "uri-miss",
                Absence::Stale => "stale",
                Absence::Request => "request",
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "fwd={forward}; fwd-status=200; stored");
            if is_collapsed {
                text.push_str("; collapsed");
            }
        }
    }
    header::value(text)
}

/// Writes `hit` with the remaining seconds of `fresh_for`; they are negative once the balance is stale.
fn write_hit(text: &mut String, limits: Limits, age: Duration) {
    let fresh_for = limits.fresh_for.get();
    // Writing to a string cannot fail.
    let _ = if is_over_fresh_for(limits, age) {
        write!(text, "hit; ttl=-{}", rounded_up(age.saturating_sub(fresh_for)))
    } else {
        write!(text, "hit; ttl={}", fresh_for.saturating_sub(age).as_secs())
    };
}

fn is_over_fresh_for(limits: Limits, age: Duration) -> bool {
    age > limits.fresh_for.get()
}

/// Whether the caller's own cache may store the answer. Some caches ignore `Age` and would serve it above the ceiling.
fn may_be_kept(via: Via, limits: Limits, age: Duration) -> bool {
    via != Via::Fallback && !is_over_fresh_for(limits, age)
}

/// The outcome, for the metrics.
pub(crate) fn outcome(result: &Served, limits: Limits, arrived: Moment) -> Outcome {
    match result {
        Ok((Found { snapshot, via: Via::Memory { .. } }, _)) => {
            let age = snapshot.requested_at().age_at(arrived);
            if age < limits.fresh_for.get() { Outcome::Hit } else { Outcome::Stale }
        }
        Ok((Found { via: Via::Fallback, .. }, _)) => Outcome::Stale,
        Ok((Found { via: Via::Read { is_collapsed: true, .. }, .. }, _)) => Outcome::Collapsed,
        Ok((Found { via: Via::Read { absence: Absence::Request, .. }, .. }, _)) => Outcome::Refresh,
        Ok((Found { via: Via::Read { absence: Absence::UriMiss | Absence::Stale, .. }, .. }, _)) => {
            Outcome::Miss
        }
        Err(Refusal::NotCached) => Outcome::NotCached,
        Err(
            Refusal::Disabled | Refusal::DeadlineExceeded | Refusal::ForcedLimit(_) | Refusal::Failed(..),
        ) => Outcome::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FreshFor, MaxAge};

    const LIMITS: fn() -> Limits = || Limits {
        fresh_for: FreshFor::new(Duration::from_secs(10)).unwrap(),
        max_age: MaxAge::new(Duration::from_mins(1)).unwrap(),
    };

    #[test]
    fn cache_status_is_written_as_documented() {
        let read = |absence, is_collapsed| Via::Read { absence, is_collapsed };
        let memory = |is_failing| Via::Memory { is_failing };
        for (via, milliseconds, expected) in [
            (memory(false), 0, "balance-gateway; hit; ttl=10"),
            (memory(false), 2001, "balance-gateway; hit; ttl=7"),
            (memory(true), 2001, "balance-gateway; hit; ttl=7"),
            (memory(false), 10_000, "balance-gateway; hit; ttl=0"),
            (memory(false), 10_001, "balance-gateway; hit; ttl=-1; detail=stale"),
            (memory(false), 22_000, "balance-gateway; hit; ttl=-12; detail=stale"),
            (memory(true), 22_000, "balance-gateway; hit; ttl=-12; detail=stale-if-error"),
            (Via::Fallback, 2001, "balance-gateway; hit; ttl=7; detail=stale-if-error"),
            (Via::Fallback, 22_000, "balance-gateway; hit; ttl=-12; detail=stale-if-error"),
            (read(Absence::UriMiss, false), 0, "balance-gateway; fwd=uri-miss; fwd-status=200; stored"),
            (read(Absence::Stale, false), 0, "balance-gateway; fwd=stale; fwd-status=200; stored"),
            (
                read(Absence::Request, true),
                0,
                "balance-gateway; fwd=request; fwd-status=200; stored; collapsed",
            ),
        ] {
            let text = cache_status(via, LIMITS(), Duration::from_millis(milliseconds));

            assert_eq!(text, expected);
            sfv::Parser::new(text.as_bytes()).parse::<sfv::List>().unwrap();
        }
    }

    #[test]
    fn a_caller_may_cache_only_a_fresh_balance_that_is_no_fallback() {
        let memory = Via::Memory { is_failing: false };
        let read = Via::Read { absence: Absence::UriMiss, is_collapsed: false };
        for (via, milliseconds, may) in [
            (memory, 10_000, true),
            (memory, 10_001, false),
            (read, 1000, true),
            (read, 10_001, false),
            (Via::Fallback, 0, false),
        ] {
            assert_eq!(may_be_kept(via, LIMITS(), Duration::from_millis(milliseconds)), may, "{via:?}");
        }
    }

    #[test]
    fn an_entity_tag_is_compared_weakly_and_a_malformed_one_is_ignored() {
        let etag = HeaderValue::from_static("\"abc\"");
        let given = |value: &'static str| {
            HeaderMap::from_iter([(http::header::IF_NONE_MATCH, HeaderValue::from_static(value))])
        };

        for value in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert!(header::matches(&given(value), &etag), "{value}");
        }
        for value in ["\"abd\"", "abc", "", "\"abc"] {
            assert!(!header::matches(&given(value), &etag), "{value}");
        }
        assert!(!header::matches(&HeaderMap::new(), &etag));
    }
}
