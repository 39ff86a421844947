//! The wait that a provider asks for: `Retry-After`, and the headers that replace it.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;

use crate::providers::WaitHeader;

/// The prefix of the headers that the throttler of `NestJS` sends, one for each of its limits.
const NAMED: &str = "retry-after-";
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Copies the provider's own header with whole seconds into a missing `Retry-After`.
pub(in crate::upstream) fn take_own(headers: &mut HeaderMap, own: Option<&WaitHeader>) {
    if let Some(WaitHeader(name)) = own
        && !headers.contains_key(RETRY_AFTER)
        && let Some(seconds) = headers.get(name).cloned()
        && seconds.as_bytes().iter().all(u8::is_ascii_digit)
    {
        headers.insert(RETRY_AFTER, seconds);
    }
}

/// Reads the wait: `Retry-After`, else the longest `Retry-After-<name>`, else `RateLimit-Reset`. Of a repeated header
/// the first counts.
pub(in crate::upstream) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let plain = headers.get(RETRY_AFTER).and_then(|value| seconds(value).or_else(|| until_date(value, now)));
    let named = || {
        let named = headers.iter().filter(|(name, _)| name.as_str().starts_with(NAMED));
        named.filter_map(|(_, value)| seconds(value).or_else(|| until_date(value, now))).max()
    };
    let reset = || headers.get(RATE_LIMIT_RESET).and_then(seconds);
    plain.or_else(named).or_else(reset)
}

/// Seconds, with an optional fraction (rounded up) and an optional `s`.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let text = text.strip_suffix(['s', 'S']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let rounded_up = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(whole.saturating_add(rounded_up)))
}

/// The wait until an HTTP date; a past date is no wait.
fn until_date(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let instant = httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()?;
    Some(instant.duration_since(SystemTime::from(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(lines: &[(&str, &str)]) -> Option<u64> {
        let lines = lines.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let now = "2026-11-21T07:00:00Z".parse().unwrap();
        read(&lines.collect(), now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (text, expected) in [
            ("0", Some(0)),
            ("20", Some(20)),
            (" 20 ", Some(20)),
            ("60.0", Some(60)),
            ("2.5", Some(3)),
            ("60s", Some(60)),
            ("0.001s", Some(1)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Sat, 21 Nov 2026 07:00:20 GMT", Some(20)),
            ("Saturday, 21-Nov-26 07:00:20 GMT", Some(20)),
            ("Sat, 21 Nov 2026 06:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.", None),
            (".5", None),
            ("1e3", None),
            ("1m", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(read_from(&[("retry-after", text)]), expected, "{text:?}");
        }
    }

    #[test]
    fn the_providers_own_header_replaces_a_missing_retry_after_first() {
        let wait = WaitHeader(HeaderName::from_static("x-wait-seconds"));
        for (lines, expected) in [
            (&[("x-wait-seconds", "7"), ("ratelimit-reset", "30")][..], Some(7)),
            (&[("x-wait-seconds", "7"), ("retry-after", "9")], Some(9)),
            (&[("x-wait-seconds", "soon")], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, text) in lines {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(text));
            }
            take_own(&mut headers, Some(&wait));

            let stated = read(&headers, "2026-11-21T07:00:00Z".parse().unwrap());
            assert_eq!(stated, expected.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[test]
    fn other_headers_replace_a_missing_retry_after() {
        for (lines, expected) in [
            (&[("retry-after-short", "1"), ("retry-after-long", "60")][..], Some(60)),
            (&[("retry-after-long", "60"), ("retry-after-short", "1"), ("ratelimit-reset", "90")], Some(60)),
            (&[("retry-after", "5"), ("retry-after-long", "60")], Some(5)),
            (&[("ratelimit-reset", "30")], Some(30)),
            (&[("ratelimit-reset", "soon")], None),
            (&[("x-retry-after", "30")], None),
        ] {
            assert_eq!(read_from(lines), expected, "{lines:?}");
        }
    }
}
