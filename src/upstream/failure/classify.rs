//! Classifies a provider's answer or a failed call as an [`UpstreamError`]: by status and by the types of errors, never
//! by text.

use std::error::Error;
use std::time::Duration;

use http::header::{AGE, CONTENT_ENCODING, HeaderMap};
use jiff::Timestamp;

use crate::domain::{AttemptSignal, Cause, ParseError, UpstreamError};

use super::cause;
use super::retry_after;
use crate::metrics::Operation;

/// Classifies a status; `Ok` for a success, whose body is worth reading.
pub(in crate::upstream) fn status(
    operation: Operation,
    status: u16,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(), UpstreamError> {
    match (status, operation) {
        (200..=299, _) => Ok(()),
        (401 | 403, _) | (400, Operation::Token) => Err(UpstreamError::Refused),
        (429, _) => Err(UpstreamError::Throttled(retry_after::read(headers, now))),
        (503, _) => match retry_after::read(headers, now) {
            Some(told) => Err(UpstreamError::Unavailable(told)),
            None => Err(UpstreamError::Status(status)),
        },
        _ => Err(UpstreamError::Status(status)),
    }
}

/// Reads `Age`, the first of several; an unreadable one is zero, a huge one saturates.
pub(in crate::upstream) fn age(headers: &HeaderMap) -> Duration {
    let text = headers.get(AGE).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Duration::from_secs(text.parse().unwrap_or(u64::MAX)) } else { Duration::ZERO }
}

/// The compression of an answer, if it has one. The gateway requests none, so that a small answer cannot expand into a
/// huge one. Other codings, such as `identity` or `UTF-8`, do not compress and are ignored.
pub(in crate::upstream) fn compression(headers: &HeaderMap) -> Option<&'static str> {
    const COMPRESSIONS: [&str; 6] = ["gzip", "x-gzip", "deflate", "br", "zstd", "compress"];
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(',')).map(str::trim);
    codings.find_map(|coding| COMPRESSIONS.into_iter().find(|known| known.eq_ignore_ascii_case(coding)))
}

/// Classifies a failure of the transport.
pub(in crate::upstream) fn transport(error: &(dyn Error + 'static)) -> UpstreamError {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    for source in chain {
        if source.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout) {
            return UpstreamError::Timeout;
        }
        if is_not_http(source) {
            return UpstreamError::Invalid(ParseError { field: "answer", problem: "not HTTP" });
        }
    }
    match cause::of_chain(error) {
        Cause::OutOfFiles => UpstreamError::OutOfFiles,
        cause => UpstreamError::Unreachable(cause),
    }
}

/// Whether the peer broke the rules of HTTP/1.1 or HTTP/2.
fn is_not_http(source: &(dyn Error + 'static)) -> bool {
    if let Some(error) = source.downcast_ref::<hyper::Error>() {
        return error.is_parse();
    }
    if let Some(error) = source.downcast_ref::<h2::Error>() {
        // Our side found the error. An error that the peer reports, such as a refused stream, is a reset.
        return error.is_library();
    }
    let is_tls =
        |error: &std::io::Error| error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>);
    source.downcast_ref::<std::io::Error>().is_some_and(|error| {
        !is_tls(error)
            && matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData)
    })
}

/// The signal of a failed attempt. `was_given_time` is false if our own deadline left the attempt less than half of its
/// usual time.
pub(in crate::upstream) fn signal(error: UpstreamError, was_given_time: bool) -> AttemptSignal {
    match error {
        UpstreamError::Unreachable(_) | UpstreamError::Status(500..) => AttemptSignal::Failed,
        UpstreamError::Timeout if was_given_time => AttemptSignal::Failed,
        // 503 with `Retry-After` is neither a failure nor an answer below 500.
        UpstreamError::Timeout | UpstreamError::Unavailable(_) => AttemptSignal::Unknown,
        UpstreamError::Throttled(_)
        | UpstreamError::Status(_)
        | UpstreamError::Refused
        | UpstreamError::Invalid(_)
        | UpstreamError::TooLarge
        | UpstreamError::Busy
        | UpstreamError::Suspended
        | UpstreamError::BudgetExhausted
        | UpstreamError::OutOfFiles
        | UpstreamError::Defect => AttemptSignal::Answered,
    }
}

/// The part of a signal that other replicas may rely on: only an answer of the provider counts there.
pub(in crate::upstream) fn signal_to_replicas(
    failed: Option<UpstreamError>,
    signal: AttemptSignal,
) -> AttemptSignal {
    match (failed, signal) {
        (_, AttemptSignal::Balance) => AttemptSignal::Balance,
        (_, AttemptSignal::Answered) => AttemptSignal::Answered,
        (Some(UpstreamError::Status(_)), AttemptSignal::Failed) => AttemptSignal::Failed,
        (_, AttemptSignal::Failed | AttemptSignal::Unknown) => AttemptSignal::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    fn headers(lines: &[(http::HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn now() -> Timestamp {
        "2026-11-21T07:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_status_has_its_meaning() {
        let told = headers(&[(RETRY_AFTER, "20")]);
        let none = HeaderMap::new();
        let seconds = |n| Some(Duration::from_secs(n));
        for (operation, code, headers, expected) in [
            (Operation::Balance, 200, &none, Ok(())),
            (Operation::Balance, 204, &none, Ok(())),
            (Operation::Token, 201, &none, Ok(())),
            (Operation::Balance, 301, &none, Err(UpstreamError::Status(301))),
            (Operation::Balance, 400, &none, Err(UpstreamError::Status(400))),
            (Operation::Token, 400, &none, Err(UpstreamError::Refused)),
            (Operation::Balance, 401, &none, Err(UpstreamError::Refused)),
            (Operation::Balance, 403, &told, Err(UpstreamError::Refused)),
            (Operation::Balance, 404, &none, Err(UpstreamError::Status(404))),
            (Operation::Balance, 429, &none, Err(UpstreamError::Throttled(None))),
            (Operation::Balance, 429, &told, Err(UpstreamError::Throttled(seconds(20)))),
            (Operation::Balance, 500, &told, Err(UpstreamError::Status(500))),
            (Operation::Balance, 503, &none, Err(UpstreamError::Status(503))),
            (Operation::Balance, 503, &told, Err(UpstreamError::Unavailable(Duration::from_secs(20)))),
            (Operation::Balance, 599, &none, Err(UpstreamError::Status(599))),
        ] {
            assert_eq!(status(operation, code, headers, now()), expected, "{operation:?} {code}");
        }
    }

    #[test]
    fn an_unreadable_age_is_zero() {
        for (text, seconds) in [("7", 7), ("0", 0), ("-7", 0), ("7.5", 0), ("7, 8", 0), ("", 0), ("x", 0)] {
            assert_eq!(age(&headers(&[(AGE, text)])).as_secs(), seconds, "{text:?}");
        }
        assert_eq!(age(&headers(&[(AGE, "99999999999999999999999")])).as_secs(), u64::MAX);
        assert_eq!(age(&headers(&[(AGE, "7"), (AGE, "8")])).as_secs(), 7);
    }

    #[test]
    fn only_a_compressing_coding_is_reported() {
        for (values, expected) in [
            (&["UTF-8"][..], None),
            (&[""], None),
            (&["none"], None),
            (&["8bit"], None),
            (&["identity, identity"], None),
            (&["identity", "identity"], None),
            (&["GZIP"], Some("gzip")),
            (&["identity, x-gzip"], Some("x-gzip")),
            (&["identity", "br"], Some("br")),
            (&["deflate"], Some("deflate")),
            (&["zstd"], Some("zstd")),
            (&["compress"], Some("compress")),
        ] {
            let lines: Vec<_> = values.iter().map(|value| (CONTENT_ENCODING, *value)).collect();
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(name, value.parse().unwrap());
            }
            assert_eq!(compression(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn only_failures_of_the_provider_count_for_the_breaker() {
        for (error, given_time, expected) in [
            (UpstreamError::Unreachable(Cause::Closed), false, AttemptSignal::Failed),
            (UpstreamError::Timeout, true, AttemptSignal::Failed),
            (UpstreamError::Timeout, false, AttemptSignal::Unknown),
            (UpstreamError::Status(500), true, AttemptSignal::Failed),
            (UpstreamError::Status(404), true, AttemptSignal::Answered),
            (UpstreamError::Refused, true, AttemptSignal::Answered),
            (UpstreamError::Throttled(None), true, AttemptSignal::Answered),
            (UpstreamError::Unavailable(Duration::ZERO), true, AttemptSignal::Unknown),
        ] {
            assert_eq!(signal(error, given_time), expected, "{error:?}");
        }
    }
}
