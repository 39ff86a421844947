//! The signature schemes of real providers, each with a signed notification. The signatures were made by another
//! implementation.

use std::time::Duration;

use super::*;
use crate::http::hooks::Template;
use crate::http::hooks::settings::Encoding;

/// A signature with the key before a rotation.
const OF_ANOTHER_KEY: &str = "30d103058615ce8f21354421edf3d7af3a6eb03b3d9812429b1e5684e24bd833";

/// The signature scheme of one provider, and a signed notification.
pub(super) struct Scheme {
    pub(super) name: &'static str,
    pub(super) settings: HmacSettings,
    uri: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Scheme {
    /// Whether the notification is proven this many seconds after it was signed.
    pub(super) fn holds(&self, body: &str, seconds: i64) -> bool {
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

    pub(super) fn with(self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self;
        change(&mut changed);
        changed
    }
}

/// Every scheme.
pub(super) fn schemes() -> Vec<Scheme> {
    [of_the_body(), with_the_time_in_its_header(), with_the_time_in_another_header()]
        .into_iter()
        .flatten()
        .collect()
}

fn scheme(name: &'static str, settings: HmacSettings, headers: &[(&'static str, &str)]) -> Scheme {
    Scheme {
        name,
        settings,
        uri: "/hooks/x",
        headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    }
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

fn signed(text: &str) -> Template {
    text.parse().unwrap()
}

/// Schemes that sign the body alone.
fn of_the_body() -> Vec<Scheme> {
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
            "Adyen",
            HmacSettings {
                encoding: Encoding::Base64,
                keys: vec![Encoding::Hex.decode(b"44782DEF547AAA06C910C43932B1EB0C").unwrap().into()],
                ..settings("hmacsignature", b"")
            },
            &[("hmacsignature", "ZLwkKegHr0eZpBeXJFY4ECGKnOx+V2mg9XsGxJ8LPas=")],
        ),
        scheme(
            "Paystack",
            HmacSettings { digest: Digest::Sha512, ..settings("x-paystack-signature", b"sk_paystack") },
            &[(
                "x-paystack-signature",
                "84bf2c94cb5ecd1fdd6b89668fdd6dede17879dbf1c44fd256dfdb2760caa2095a312e1c822e6368ed19912c33e12c3214388a8dcacaccd8ffaf6eee9588c966",
            )],
        ),
        scheme(
            "Woovi's old one",
            HmacSettings {
                digest: Digest::Sha1,
                encoding: Encoding::Base64,
                ..settings("x-openpix-signature", b"secret-of-woovi")
            },
            &[("x-openpix-signature", "/D9oiaBEVdDK8GTOFWphnTpZhjs=")],
        ),
    ]
}

/// Settings of a header that lists the signing time and the signatures.
fn listed(header: &'static str, key: &[u8]) -> HmacSettings {
    HmacSettings {
        prefix: "v1=".into(),
        signed: signed("{timestamp}.{body}"),
        timestamp: Some("t".into()),
        ..settings(header, key)
    }
}

/// Schemes whose signature header also has the signing time.
fn with_the_time_in_its_header() -> Vec<Scheme> {
    let stripe = "23c84a3555632fc284b389e03665777636d5a631ffbb8eb4bb9747ac944b6283";
    let fintoc = "988ba15b9fe2e8df2f79b4bf48caee95d6eec0b1a3d7851bf9448b0abd6d6ba9";
    vec![
        scheme(
            "Stripe, during a rotation",
            listed("stripe-signature", b"whsec_stripe"),
            &[("stripe-signature", &format!("t=1700000000,v1={OF_ANOTHER_KEY}, v1={stripe},v0=00"))],
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
    ]
}

/// Schemes whose signing time has a header of its own.
fn with_the_time_in_another_header() -> Vec<Scheme> {
    vec![
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
                        "v1={OF_ANOTHER_KEY},v1=B85B406b4d19a19207c96533ad503eaa56536de5d4e595aad8f19d03d7b2980e"
                    ),
                ),
                ("revolut-request-timestamp", "1700000000123"),
            ],
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
