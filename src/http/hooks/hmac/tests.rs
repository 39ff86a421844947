//! What proves a notification: its key, its body, its signing time and its headers.

mod schemes;

use self::schemes::schemes;
use super::*;

const BODY: &str = r#"{"event":"transaction.cash_in.settled","transactionId":"t-1","amount":150.00}"#;
/// The signing time of every notification here.
const SIGNED_AT: i64 = 1_700_000_000;

#[test]
fn a_genuine_notification_of_every_scheme_is_proven() {
    for scheme in schemes() {
        assert!(scheme.holds(BODY, 0), "{}", scheme.name);
    }
}

#[test]
fn a_wrong_key_or_body_proves_nothing() {
    for scheme in schemes() {
        let signs_body = scheme.settings.signed.to_string().contains("{body}");

        assert_eq!(scheme.holds(&BODY.replace("150", "151"), 0), !signs_body, "{}", scheme.name);
        let wrong = scheme.with(|scheme| scheme.settings.keys = vec![b"wrong".to_vec().into()]);
        assert!(!wrong.holds(BODY, 0), "{}", wrong.name);
        let rotated = wrong.with(|scheme| {
            let right = schemes().into_iter().find(|same| same.name == scheme.name).unwrap().settings.keys;
            scheme.settings.keys.extend(right);
        });
        assert!(rotated.holds(BODY, 0), "{}: any of two keys", rotated.name);
    }
}

#[test]
fn a_signing_time_may_differ_by_the_tolerance_in_both_directions() {
    for scheme in schemes() {
        let is_timed = scheme.settings.timestamp.is_some();

        for seconds in [-299, 299] {
            assert!(scheme.holds(BODY, seconds), "{} {seconds}", scheme.name);
        }
        for seconds in [-302, 302] {
            assert_eq!(scheme.holds(BODY, seconds), !is_timed, "{} {seconds}", scheme.name);
        }
    }
}

#[test]
fn a_notification_without_a_required_part_is_refused() {
    for name in schemes().iter().map(|scheme| scheme.name) {
        let whole = || schemes().into_iter().find(|scheme| scheme.name == name).unwrap();
        for index in 0..whole().headers.len() {
            let without = whole().with(|scheme| {
                scheme.headers.remove(index);
            });
            assert!(!without.holds(BODY, 0), "{name} without header {index}");
            let spoilt = whole().with(|scheme| scheme.headers[index].1 = "nonsense".to_owned());
            assert!(!spoilt.holds(BODY, 0), "{name} with another header {index}");
            let empty = whole().with(|scheme| scheme.headers[index].1.clear());
            assert!(!empty.holds(BODY, 0), "{name} with an empty header {index}");
        }
    }
}

#[test]
fn a_signature_header_that_is_sent_twice_is_one_list() {
    let twice = |name: &str| {
        let scheme = schemes().into_iter().find(|scheme| scheme.name == name).unwrap();
        scheme.with(|scheme| {
            let (header, _) = scheme.headers[0];
            let other = format!("{}{}", scheme.settings.prefix, "00".repeat(32));
            scheme.headers.insert(0, (header, other));
        })
    };

    assert!(twice("NTX Pay Mexico").holds(BODY, 0));
    assert!(twice("Fintoc").holds(BODY, 0));
    let ambiguous = twice("Fintoc").with(|scheme| scheme.headers[0].1 = "t=1700000000".to_owned());
    assert!(!ambiguous.holds(BODY, 0), "two times of signing");
}

#[test]
fn a_time_is_digits_in_seconds_or_milliseconds() {
    let seconds = |text: &str| parse_time(text.as_bytes()).map(Timestamp::as_second);

    assert_eq!(seconds("1700000000"), Some(SIGNED_AT));
    assert_eq!(seconds("1700000000123"), Some(SIGNED_AT));
    assert_eq!(seconds("99999999999"), Some(99_999_999_999));
    assert_eq!(seconds("100000000000"), Some(100_000_000));
    for text in ["", "+1700000000", "-1", "1.7e9", "1700000000 ", "0x10", "99999999999999999999"] {
        assert_eq!(seconds(text), None, "{text:?}");
    }
}
