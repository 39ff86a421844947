//! The signature schemes of real providers. The signatures were made by another implementation.

use std::time::Duration;

use super::*;
use crate::http::hooks::settings::Encoding;

const BODY: &str = r#"{"event":"transaction.cash_in.settled","transactionId":"t-1","amount":150.00}"#;
/// The signing time of every notification here.
const SIGNED_AT: i64 = 1_700_000_000;

/// The signature scheme of one provider, and a signed notification.
struct Scheme {
    name: &'static str,
    settings: HmacSettings,
    uri: &'static str,
    headers: Vec<(&'static str, String)>,
}

fn settings(header: &'static str, key: &[u8]) -> HmacSettings {
    HmacSettings {
        header: http::HeaderName::from_static(header),
        prefix: String::new(),
        keys: vec![key.to_vec().into()],
        digest: Digest::Sha256,
        encoding: Encoding::Hex,
        signed: "{body}".parse().unwrap(),
        timestamp: None,
        tolerance: Duration::from_mins(5),
    }
}

#[expect(clippy::too_many_lines, reason = "a table with one entry for each provider")]
fn schemes() -> Vec<Scheme> {
    let stripe = "23c84a3555632fc284b389e03665777636d5a631ffbb8eb4bb9747ac944b6283";
    let before = "30d103058615ce8f21354421edf3d7af3a6eb03b3d9812429b1e5684e24bd833";
    let fintoc = "988ba15b9fe2e8df2f79b4bf48caee95d6eec0b1a3d7851bf9448b0abd6d6ba9";
    let signed = |text: &str| text.parse::<crate::http::hooks::Template>().unwrap();
    let listed = |header, key: &[u8]| HmacSettings {
        prefix: "v1=".into(),
        signed: signed("{timestamp}.{body}"),
        timestamp: Some("t".into()),
        ..settings(header, key)
    };
    let scheme = |name, settings, headers: &[(&'static str, &str)]| Scheme {
        name,
        settings,
        uri: "/hooks/x",
        headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    };
    vec![
        scheme(
            "NTX Pay Mexico",
            HmacSettings {
                prefix: "sha256=".into(),
                ..settings("x-ntxpay-signature", b"whsec-of-ntx-mexico")
            },
            &[(
                "x-ntxpay-signature",
                "sha256=fc5fa1b65c474d9a0db141eb68c319612d8b941745d4bf935422245a420c83c1",
            )],
        ),
        scheme(
            "Stripe, during a rotation",
            listed("stripe-signature", b"whsec_stripe"),
            &[("stripe-signature", &format!("t=1700000000,v1={before}, v1={stripe},v0=00"))],
        ),
        scheme(
            "Fintoc",
            listed("fintoc-signature", b"whsec_fintoc"),
            &[("fintoc-signature", &format!("t=1700000000,v1={fintoc}"))],
        ),
        scheme(
            "Fintoc, without a prefix",
            HmacSettings { prefix: String::new(), ..listed("fintoc-signature", b"whsec_fintoc") },
            &[("fintoc-signature", &format!("v1={fintoc},t=1700000000"))],
        ),
        scheme(
            "Adyen",
            HmacSettings {
                encoding: Encoding::Base64,
                keys: vec![Encoding::Hex.decode(b"44782DEF547AAA06C910C43932B1EB0C").unwrap().into()],
                ..settings("hmacsignature", b"")
            },
            &[("hmacsignature", "ZLwkKegHr0eZpBeXJFY4ECGKnOx+V2mg9XsGxJ8LPas=")],
        ),
        scheme(
            "Airwallex",
            HmacSettings {
                signed: signed("{timestamp}{body}"),
                timestamp: Some("x-timestamp".into()),
                ..settings("x-signature", b"secret-of-airwallex")
            },
            &[
                ("x-signature", "ea678d9f80215bc635a82a9cbd20a90c45103dde4658bcfe8d594e1cb9729446"),
                ("x-timestamp", "1700000000123"),
            ],
        ),
        scheme(
            "Revolut, two signatures of which one holds",
            HmacSettings {
                prefix: "v1=".into(),
                signed: signed("v1.{timestamp}.{body}"),
                timestamp: Some("Revolut-Request-Timestamp".into()),
                ..settings("revolut-signature", b"wsk_revolut")
            },
            &[
                (
                    "revolut-signature",
                    &format!(
                        "v1={before},v1=B85B406b4d19a19207c96533ad503eaa56536de5d4e595aad8f19d03d7b2980e"
                    ),
                ),
                ("revolut-request-timestamp", "1700000000123"),
            ],
        ),
        scheme(
            "Paystack",
            HmacSettings { digest: Digest::Sha512, ..settings("x-paystack-signature", b"sk_paystack") },
            &[(
                "x-paystack-signature",
                "84bf2c94cb5ecd1fdd6b89668fdd6dede17879dbf1c44fd256dfdb2760caa2095a312e1c822e6368ed19912c33e12c3214388a8dcacaccd8ffaf6eee9588c966",
            )],
        ),
        Scheme {
            uri: "/hooks/x?data.id=12345&type=payment",
            ..scheme(
                "Mercado Pago, which does not sign the body",
                HmacSettings {
                    prefix: "v1=".into(),
                    signed: signed("id:{query.data.id};request-id:{header.x-request-id};ts:{timestamp};"),
                    timestamp: Some("ts".into()),
                    ..settings("x-signature", b"secret-of-mercado-pago")
                },
                &[
                    (
                        "x-signature",
                        "ts=1700000000,v1=2faa0c972374b91299308cf85df581416dba134a4afce3ee2bc869362de8cb38",
                    ),
                    ("x-request-id", "r-77"),
                ],
            )
        },
        scheme(
            "Woovi's old one",
            HmacSettings {
                digest: Digest::Sha1,
                encoding: Encoding::Base64,
                ..settings("x-openpix-signature", b"secret-of-woovi")
            },
            &[("x-openpix-signature", "/D9oiaBEVdDK8GTOFWphnTpZhjs=")],
        ),
        scheme(
            "Cashfree",
            HmacSettings {
                encoding: Encoding::Base64,
                signed: signed("{timestamp}{body}"),
                timestamp: Some("x-webhook-timestamp".into()),
                ..settings("x-webhook-signature", b"secret-of-cashfree")
            },
            &[
                ("x-webhook-signature", "XTOB32QGrmcp2USdiXahrfohyrXPtiTE62r1Xtjasqo="),
                ("x-webhook-timestamp", "1700000000123"),
            ],
        ),
    ]
}

impl Scheme {
    /// Whether the notification is proven this many seconds after it was signed.
    fn holds(&self, body: &str, seconds: i64) -> bool {
        let request = http::Request::builder().uri(self.uri);
        let request =
            self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value.as_str()));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let now = Timestamp::from_second(SIGNED_AT + seconds).unwrap();
        let Some(mut verification) = Hmac::new(self.settings.clone()).begin(&head, now) else { return false };
        // In parts, as a body arrives.
        for part in body.as_bytes().chunks(7) {
            verification.add(part);
        }
        verification.holds()
    }

    fn with(self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self;
        change(&mut changed);
        changed
    }
}

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
