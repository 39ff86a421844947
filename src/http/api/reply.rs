//! Writes a balance: status, body and the headers that are per request.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Limits, Moment, rounded_up};
use crate::gateway::{Absence, Found, Refusal, Via};
use crate::http::header;
use crate::metrics::Outcome;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What is served of a balance and how old it is, or why nothing is.
pub(crate) type Served = Result<(Found, Duration), Refusal>;

/// Answers with the balance, or with 304 where the caller has this very body.
pub(crate) fn balance(
    found: &Found,
    limits: Limits,
    cache_control: HeaderValue,
    age: Duration,
    request: &HeaderMap,
) -> Response {
    let etag = HeaderValue::from_maybe_shared(found.snapshot.etag().clone());
    let etag = etag.unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let mut response = if header::matches(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(found.snapshot.body().clone()));
        // Room for these headers and for those of the layers: growing would hash each of them again.
        response.headers_mut().reserve(16);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    let headers = response.headers_mut();
    headers.insert(AGE, HeaderValue::from(rounded_up(age)));
    headers.insert(CACHE_CONTROL, cache_control);
    headers.insert(ETAG, etag);
    headers.insert(CACHE_STATUS, cache_status(found.via, limits, age));
    response
}

/// RFC 9211, as the contract spells it.
fn cache_status(via: Via, limits: Limits, age: Duration) -> HeaderValue {
    let mut text = String::with_capacity(64);
    text.push_str("balance-gateway; ");
    match via {
        Via::Memory { is_failing } => {
            let fresh_for = limits.fresh_for.get();
            let over = age.checked_sub(fresh_for).filter(|over| !over.is_zero());
            // Writing to a string cannot fail.
            let _ = match over {
                None => write!(text, "hit; ttl={}", (fresh_for.saturating_sub(age)).as_secs()),
                Some(over) => {
                    let detail = if is_failing { "stale-if-error" } else { "stale" };
                    write!(text, "hit; ttl=-{}; detail={detail}", rounded_up(over))
                }
            };
        }
        Via::Read { absence, is_collapsed } => {
            let forward = match absence {
                Absence::UriMiss => "uri-miss",
                Absence::Stale => "stale",
                Absence::Request => "request",
            };
            let _ = write!(text, "fwd={forward}; fwd-status=200; stored");
            if is_collapsed {
                text.push_str("; collapsed");
            }
        }
    }
    header::value(text)
}

/// What a caller got, for the metrics.
pub(crate) fn outcome(result: &Served, limits: Limits, arrived: Moment) -> Outcome {
    match result {
        Ok((Found { snapshot, via: Via::Memory { .. } }, _)) => {
            let age = snapshot.requested_at().age_at(arrived);
            if age < limits.fresh_for.get() { Outcome::Hit } else { Outcome::Stale }
        }
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
    fn cache_status_is_spelled_as_the_contract_says() {
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
    fn an_entity_tag_is_compared_weakly_and_rubbish_is_ignored() {
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
