//! Random token answers, `Retry-After` and `Age`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use http::header::{AGE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use secrecy::ExposeSecret;
use serde_json::value::RawValue;

use crate::domain::{Hold, UpstreamError};
use crate::upstream::credentials::credential::parse_issued;
use crate::upstream::failure::{classify, retry_after};

/// Documented answers of token endpoints.
const ANSWERS: [&str; 3] = [
    r#"{"access_token":"eyJh.eyJz.sig","token_type":"Bearer","expires_in":1800}"#,
    r#"{"access_token":"eyJh.eyJz.sig","expires_in":"600","scope":"email profile"}"#,
    r#"{"expires_in":3600,"refresh_expires_in":0,"access_token":"a","not-before-policy":0}"#,
];
/// A random insertion.
const PIECES: [&str; 15] = [
    "",
    "0",
    "9",
    "99999999999999999999999",
    ".0",
    "e3",
    "-",
    "\"",
    "\\n",
    "\\u0041",
    "null",
    "{",
    "}",
    ",\"expires_in\":1",
    "[[[[[[[[",
];

fn token_answer() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), 0_usize..6, select(&PIECES[..]));
    (select(&ANSWERS[..]), prop::collection::vec(change, 0..4)).prop_map(|(answer, changes)| {
        changes.into_iter().fold(answer.to_owned(), |text, (at, length, piece)| {
            let from = at.index(text.len() + 1);
            let to = (from + length).min(text.len());
            [&text[..from], piece, &text[to..]].concat()
        })
    })
}

fn headers(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).ok()?)]))
}

fn now() -> Timestamp {
    "2026-11-21T07:00:00Z".parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_accepted_token_is_the_one_in_its_answer(answer in token_answer()) {
        if let Ok(issued) = parse_issued(answer.as_bytes()) {
            // Raw, because a number in a field that is not read may not fit a float.
            let answer: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(&answer).unwrap();
            let access_token: String = serde_json::from_str(answer["access_token"].get()).unwrap();
            let (token, life) = (issued.authorisation.secrets()[0].expose_secret(), issued.life.as_secs());
            prop_assert_eq!(access_token, token);
            prop_assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            let told = answer["expires_in"].get().trim_matches('"').parse().unwrap_or(u64::MAX);
            prop_assert!(life > 0 && life == told.min(86_400));
        }
    }

    #[test]
    fn bytes_that_are_no_token_answer_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse_issued(&bytes).is_err());
    }

    #[test]
    fn a_throttling_provider_is_held_for_a_second_to_ten_minutes(
        value in prop_oneof!["[0-9]{0,30}", "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT", "\\PC{0,20}"],
    ) {
        let Some(headers) = headers(RETRY_AFTER, value.as_bytes()) else { return Ok(()) };

        let told = retry_after::read(&headers, now());

        let held = match UpstreamError::Throttled(told).hold() {
            Hold::RetryAfter(held) => held,
            Hold::Doubling { first, most, .. } => {
                prop_assert_eq!(told, None);
                prop_assert!(first <= most);
                first
            }
            Hold::Fixed(_) | Hold::None => return Err(TestCaseError::fail("not held")),
        };
        prop_assert!((Duration::from_secs(1)..=Duration::from_mins(10)).contains(&held));
    }

    #[test]
    fn a_date_is_read_as_the_seconds_until_then(seconds in 0_u64..253_402_300_800) {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let headers = headers(RETRY_AFTER, httpdate::fmt_http_date(date).as_bytes()).unwrap();

        let until_then = date.duration_since(SystemTime::from(now())).unwrap_or_default();
        prop_assert_eq!(retry_after::read(&headers, now()), Some(until_then));
    }

    #[test]
    fn an_age_is_its_digits_or_zero(value in prop_oneof!["[0-9]{1,30}", "[-+0-9.e ,]{0,6}", "\\PC{0,10}"]) {
        let Some(headers) = headers(AGE, value.as_bytes()) else { return Ok(()) };
        let digits = value.trim_matches([' ', '\t']);
        let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit());
        let told = digits.parse::<u128>().unwrap_or_default().min(u64::MAX.into());

        let expected = if is_number { Duration::from_secs(u64::try_from(told).unwrap()) } else { Duration::ZERO };
        prop_assert_eq!(classify::age(&headers), expected);
    }
}
