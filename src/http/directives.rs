//! Parses the freshness demands of a request: `Cache-Control`, `?not_before=` and `Prefer: wait`.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName};
use jiff::Timestamp;

use crate::domain::{Directives, with_nanoseconds};

/// `Prefer` of RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Parses `Cache-Control`. It ignores unknown directives and malformed numbers. The strictest of repeated ones wins.
pub(super) fn parse(headers: &HeaderMap, not_before: Option<Timestamp>) -> Directives {
    let mut directives = Directives { not_before, ..Directives::default() };
    for line in headers.get_all(CACHE_CONTROL) {
        // Invalid UTF-8 spoils only the directive that contains it.
        let line = String::from_utf8_lossy(line.as_bytes());
        for (name, argument) in members(&line, ',') {
            let is = |directive: &str| name.eq_ignore_ascii_case(directive);
            let number = argument.as_deref().map(seconds);
            if is("no-cache") {
                directives.max_age = Some(Duration::ZERO);
            } else if is("max-age") {
                directives.max_age = strictest(directives.max_age, number.flatten(), Duration::min);
            } else if is("min-fresh") {
                directives.min_fresh = strictest(directives.min_fresh, number.flatten(), Duration::max);
            } else if is("only-if-cached") {
                directives.only_if_cached = true;
            } else if is("stale-if-error") {
                let oldest = number.unwrap_or(Some(Duration::MAX));
                directives.stale_if_error = strictest(directives.stale_if_error, oldest, Duration::min);
            }
        }
    }
    directives
}

/// The seconds of the first `wait` of `Prefer`, if readable.
pub(super) fn prefer_wait(headers: &HeaderMap) -> Option<u64> {
    for line in headers.get_all(PREFER) {
        let line = String::from_utf8_lossy(line.as_bytes());
        let wait = members(&line, ',').find(|(name, _)| name.eq_ignore_ascii_case("wait"));
        if let Some((_, argument)) = wait {
            // Parameters of the preference follow a semicolon.
            let number = argument.as_deref()?.split(';').next().unwrap_or_default().trim();
            return seconds(number).map(|wait| wait.as_secs());
        }
    }
    None
}

/// Parses `?not_before=` (RFC 3339). A space stands for a `+` that the client did not encode. Clients write the end of
/// the year 9999 for "never": instants later than any [`Timestamp`] become the last one.
pub(super) fn not_before(text: &str) -> Option<Timestamp> {
    let text = text.replace(' ', "+");
    let text = with_nanoseconds(&text);
    if !is_rfc_3339(&text) {
        return None;
    }
    // The year 9998 has the same days, so parsing with it validates everything but the year.
    let is_legal = |rest| format!("9998{rest}").parse::<Timestamp>().is_ok();
    let is_last_year = || text.strip_prefix("9999").is_some_and(is_legal);
    text.parse().ok().or_else(|| is_last_year().then_some(Timestamp::MAX))
}

/// The shape of a date and a time without fraction and offset.
const INSTANT: &[u8] = b"0000-00-00T00:00:00";

/// Whether the text has the form `2026-11-21T07:00:00[.123](Z|+02:00|+0200)`. The parser alone would also accept other
/// forms of ISO 8601.
fn is_rfc_3339(text: &str) -> bool {
    let is_shaped = |text: &str, shape: &[u8]| {
        let fits = |(byte, wanted): (u8, &u8)| match wanted {
            b'0' => byte.is_ascii_digit(),
            _ => byte.eq_ignore_ascii_case(wanted),
        };
        text.len() == shape.len() && text.bytes().zip(shape).all(fits)
    };
    let Some((instant, rest)) = text.split_at_checked(INSTANT.len()) else { return false };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let has_fraction_digits = offset.len() + 1 < rest.len() || !rest.starts_with('.');
    let is_offset =
        ["Z", "+00:00", "-00:00", "+0000", "-0000"].iter().any(|shape| is_shaped(offset, shape.as_bytes()));
    // RFC 3339 allows offset hours up to 23; the parser accepts more.
    let is_hour = offset.get(1..3).is_none_or(|hour| hour <= "23");
    is_shaped(instant, INSTANT) && has_fraction_digits && is_offset && is_hour
}

fn strictest(
    before: Option<Duration>,
    now: Option<Duration>,
    stricter: fn(Duration, Duration) -> Duration,
) -> Option<Duration> {
    before.into_iter().chain(now).reduce(stricter)
}

/// A whole number of seconds; a huge one saturates.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

/// The members of a list, each a name with or without an argument.
fn members(list: &str, separator: char) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
    split(list, separator).map(|member| match member.split_once('=') {
        Some((name, argument)) => (name.trim(), Some(unquoted(argument.trim()))),
        None => (member.trim(), None),
    })
}

/// Splits a list at each separator outside quotes. Inside quotes, a backslash escapes the next character, so an escaped
/// quote does not end the quoted text.
pub(super) fn split(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |character: char| {
        if std::mem::take(&mut is_escaped) {
            return false;
        }
        is_escaped = is_quoted && character == '\\';
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
}

/// The text inside the quotes, or the text itself if it is not quoted.
fn unquoted(argument: &str) -> Cow<'_, str> {
    match argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) if quoted.contains('\\') => unescaped(quoted).into(),
        Some(quoted) => quoted.into(),
        None => argument.into(),
    }
}

fn unescaped(quoted: &str) -> String {
    let mut characters = quoted.chars();
    let next = || match characters.next() {
        Some('\\') => characters.next(),
        other => other,
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod chance;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn every_directive_is_parsed_as_documented() {
        let none = Directives::default();
        let s = |n| Some(Duration::from_secs(n));
        for (lines, expected) in [
            (&[][..], none),
            (&["no-cache"], Directives { max_age: s(0), ..none }),
            (&["NO-Cache"], Directives { max_age: s(0), ..none }),
            (&["max-age=0"], Directives { max_age: s(0), ..none }),
            (&["max-age=5"], Directives { max_age: s(5), ..none }),
            (&["max-age=\"5\""], Directives { max_age: s(5), ..none }),
            (&["max-age = 5"], Directives { max_age: s(5), ..none }),
            (&["max-age=5, max-age=3"], Directives { max_age: s(3), ..none }),
            (&["max-age=3", "max-age=5"], Directives { max_age: s(3), ..none }),
            (&["max-age=5, no-cache"], Directives { max_age: s(0), ..none }),
            (&["max-age=-1"], none),
            (&["max-age=1.5"], none),
            (&["max-age=x"], none),
            (&["max-age="], none),
            (&["max-age"], none),
            (&["max-age=x, max-age=4"], Directives { max_age: s(4), ..none }),
            (&["max-age=99999999999999999999999"], Directives { max_age: s(u64::MAX), ..none }),
            (&["min-fresh=4, min-fresh=2"], Directives { min_fresh: s(4), ..none }),
            (&["only-if-cached"], Directives { only_if_cached: true, ..none }),
            (&["stale-if-error"], Directives { stale_if_error: Some(Duration::MAX), ..none }),
            (&["stale-if-error=30, stale-if-error"], Directives { stale_if_error: s(30), ..none }),
            (&["stale-if-error=x"], none),
            (&["max-stale=9, no-store, foo, bar=\"a, no-cache\""], none),
            (&[",, ,max-age=5,,"], Directives { max_age: s(5), ..none }),
            (&[r#"x="a\"b", no-cache"#], Directives { max_age: s(0), ..none }),
            (&[r#"x="a\", no-cache""#], none),
            (&[r#"x="a\\", no-cache"#], Directives { max_age: s(0), ..none }),
            (&[r"x=a\, no-cache"], Directives { max_age: s(0), ..none }),
            (&[r#"max-age="\5""#], Directives { max_age: s(5), ..none }),
        ] {
            assert_eq!(parse(&headers(&CACHE_CONTROL, lines), None), expected, "{lines:?}");
        }
    }

    #[test]
    fn invalid_utf_8_spoils_only_its_own_directive() {
        let value = http::HeaderValue::from_bytes(b"x=\xff\xe9, no-cache, max-age=\xff, wait=3").unwrap();
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.clone()), (PREFER, value)]);

        let expected = Directives { max_age: Some(Duration::ZERO), ..Directives::default() };
        assert_eq!((parse(&headers, None), prefer_wait(&headers)), (expected, Some(3)));
    }

    #[test]
    fn the_first_wait_counts() {
        for (lines, expected) in [
            (&[][..], None),
            (&["wait=2"], Some(2)),
            (&["Wait=\"2\""], Some(2)),
            (&["respond-async, wait=0; foo=bar"], Some(0)),
            (&[r#"foo="\"", wait=3"#], Some(3)),
            (&["wait=2, wait=1"], Some(2)),
            (&["wait=x, wait=1"], None),
            (&["wait"], None),
            (&["wait=-1"], None),
            (&["return=minimal", "wait=3"], Some(3)),
            (&["wait=99999999999999999999999"], Some(u64::MAX)),
        ] {
            assert_eq!(prefer_wait(&headers(&PREFER, lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn not_before_is_rfc_3339_and_a_space_stands_for_a_plus() {
        let instant: Timestamp = "2026-11-21T07:00:00Z".parse().unwrap();

        for text in ["2026-11-21T07:00:00Z", "2026-11-21T09:00:00+02:00", "2026-11-21T09:00:00 02:00"] {
            assert_eq!(not_before(text), Some(instant), "{text}");
        }
        for text in ["2026-11-21T07:00:00+0000", "2026-11-21T09:00:00+0200", "2026-11-21T09:00:00 0200"] {
            assert_eq!(not_before(text), Some(instant), "{text}");
        }
        for text in [
            "2026-11-21T07:00:00.000Z",
            "2026-11-21T07:00:00.0000000009999Z",
            "2026-11-21t07:00:00z",
            "2026-11-21T03:00:00.0-04:00",
            "2026-11-22T06:59:00+23:59",
        ] {
            assert_eq!(not_before(text), Some(instant), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-11-21",
            "1763708400",
            "2026-11-21T07:00Z",
            "20261121T070000Z",
            "2026-11-21T07:00:00,5Z",
            "2026-11-21T07:00:00.Z",
            "2026-11-21T07:00:00Z[UTC]",
            "2026-11-21T07:00:00",
            "2026-13-21T07:00:00Z",
            "２026-11-21T07:00:00Z",
            "2026-11-21T07:00:00+000",
            "2026-11-22T07:00:00+24:00",
            "2026-11-22T07:00:00-2400",
            "9999-13-31T23:59:59Z",
            "9999-12-32T23:59:59+0000",
            "9999-12-31T23:59:59+99:99",
        ] {
            assert_eq!(not_before(text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_the_year_9999_is_an_instant_in_any_offset() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59-12:00",
            "9999-12-31T23:59:59+1400",
        ] {
            assert!(
                not_before(text).is_some_and(|instant| instant.to_string().starts_with("9999")),
                "{text}"
            );
        }
    }
}
