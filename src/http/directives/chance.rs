//! Random headers and queries: noise never hides a demand of a caller.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use url::form_urlencoded;

use super::*;
use crate::http::query::Query;

fn header(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())])
}

/// A list without quotes: an open quote would swallow the following members.
const NOISE: &str = "[ -!#-~]{0,60}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_directive_counts_among_noise(before in NOISE, after in NOISE, most: u64) {
        let directives = parse(&header(CACHE_CONTROL, &format!("{before},max-age={most},{after}")), None);

        prop_assert!(directives.max_age.is_some_and(|allowed| allowed <= Duration::from_secs(most)));
    }

    #[test]
    fn a_wait_counts_before_noise(after in NOISE, wait: u64) {
        prop_assert_eq!(prefer_wait(&header(PREFER, &format!("wait={wait},{after}"))), Some(wait));
    }

    #[test]
    fn a_header_without_a_directive_demands_nothing(value in "[ -~\\t]{0,80}") {
        let waits = prefer_wait(&header(PREFER, &value));
        let directives = parse(&header(CACHE_CONTROL, &value), None);

        let mentions = |word: &str| value.to_ascii_lowercase().contains(word);
        prop_assert!(waits.is_none() || mentions("wait"));
        prop_assert!(directives.max_age.is_none() || mentions("max-age") || mentions("no-cache"));
        prop_assert!(!directives.only_if_cached || mentions("only-if-cached"));
    }

    #[test]
    fn an_instant_is_read_in_any_offset(second in 0_i64..4_000_000_000, milli in 0_i64..1000, minutes in -1439_i32..1440) {
        let instant = Timestamp::from_second(second).unwrap() + SignedDuration::from_millis(milli);
        let offset = Offset::from_seconds(minutes * 60).unwrap();
        let there = instant.to_zoned(TimeZone::fixed(offset));
        let text = there.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();

        prop_assert_eq!(not_before(&text), Some(instant), "{}", text);
    }

    #[test]
    fn a_malformed_instant_is_none(text in "\\PC{0,40}|[-0-9:TZ+. ]{0,30}") {
        let parsed = text.replace(' ', "+").parse::<Timestamp>().ok();

        prop_assert!(not_before(&text).is_none_or(|instant| Some(instant) == parsed || text.starts_with("9999")));
    }

    #[test]
    fn a_query_returns_the_encoded_values(currency in "\\PC{0,20}", account in "\\PC{0,20}", other in "\\PC{0,20}") {
        let pairs = [("currency", &currency), ("account", &account), ("account", &other)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();

        let query = Query::parse(Some(&query), &["currency", "account"]).unwrap();

        prop_assert_eq!(query.one("currency").unwrap(), Some(currency.as_str()));
        prop_assert_eq!(query.all("account").collect::<Vec<_>>(), [account.as_str(), other.as_str()]);
        prop_assert!(query.one("account").is_err());
    }

    #[test]
    fn any_query_is_read_or_refused(text in "[ -~]{0,60}") {
        let known = ["currency"];

        let is_known = form_urlencoded::parse(text.as_bytes()).all(|(name, _)| name == "currency");
        prop_assert_eq!(Query::parse(Some(&text), &known).is_ok(), is_known);
    }
}
