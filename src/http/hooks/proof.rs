//! The proof that a notification comes from the provider: secret headers, Basic authentication, or a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::hmac::{Hmac, Verification};
use super::settings::{ProofSettings, SecretHeader};

/// The proof that a hook requires.
#[derive(Debug)]
pub(super) enum Proof {
    /// Every header must hold one of its secrets. Only digests of the secrets are kept.
    Headers(Vec<(http::HeaderName, Vec<[u8; 32]>)>),
    /// The digests of the accepted user and password pairs.
    Basic(Vec<[u8; 32]>),
    Hmac(Hmac),
}

/// The proof of one notification whose body is arriving.
pub(super) enum Proving {
    /// The head alone decides.
    Decided(bool),
    Signed(Verification),
}

impl Proof {
    pub(super) fn new(settings: ProofSettings) -> Self {
        match settings {
            ProofSettings::Headers(headers) => {
                let digests = |header: SecretHeader| {
                    let secrets = header.secrets.iter();
                    (header.name, secrets.map(|secret| digest(secret.expose_secret().as_bytes())).collect())
                };
                Self::Headers(headers.into_iter().map(digests).collect())
            }
            ProofSettings::Basic { user, passwords } => {
                let pair = |password: &str| digest(format!("{user}:{password}").as_bytes());
                Self::Basic(passwords.iter().map(|password| pair(password.expose_secret())).collect())
            }
            ProofSettings::Hmac(settings) => Self::Hmac(Hmac::new(settings)),
        }
    }

    /// Begins to check a notification.
    pub(super) fn begin(&self, request: &Parts, now: Timestamp) -> Proving {
        match self {
            Self::Headers(headers) => {
                let mut holds = Choice::from(1);
                for (name, secrets) in headers {
                    holds &= is_one_of(only(request, name).unwrap_or_default(), secrets);
                }
                Proving::Decided(holds.into())
            }
            Self::Basic(pairs) => {
                Proving::Decided(basic(request).is_some_and(|pair| is_one_of(&pair, pairs).into()))
            }
            Self::Hmac(hmac) => hmac.begin(request, now).map_or(Proving::Decided(false), Proving::Signed),
        }
    }
}

impl Proving {
    /// Adds a part of the body.
    pub(super) fn add(&mut self, part: &[u8]) {
        if let Self::Signed(verification) = self {
            verification.add(part);
        }
    }

    /// Whether the notification is proven.
    pub(super) fn holds(self) -> bool {
        match self {
            Self::Decided(holds) => holds,
            Self::Signed(verification) => verification.holds(),
        }
    }
}

/// All digests have one length, so a comparison does not reveal the length of a secret.
fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn is_one_of(given: &[u8], digests: &[[u8; 32]]) -> Choice {
    let given = digest(given);
    digests.iter().fold(Choice::from(0), |is_known, known| is_known | known.ct_eq(&given))
}

/// The value of a header that is sent exactly once.
fn only<'a>(request: &'a Parts, name: &http::HeaderName) -> Option<&'a [u8]> {
    let mut lines = request.headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then(|| line.as_bytes())
}

fn basic(request: &Parts) -> Option<Vec<u8>> {
    let (scheme, pair) = only(request, &AUTHORIZATION)?.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then(|| STANDARD.decode(pair.trim_ascii()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proves(proof: ProofSettings, headers: &[(&str, &str)]) -> bool {
        let request = headers
            .iter()
            .fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Proof::new(proof).begin(&parts, Timestamp::UNIX_EPOCH).holds()
    }

    #[test]
    fn each_header_must_be_sent_once_with_one_of_its_secrets() {
        let header = |name: &'static str, secrets: &[&str]| SecretHeader {
            name: http::HeaderName::from_static(name),
            secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
        };
        let proof =
            || ProofSettings::Headers(vec![header("x-one", &["old", "new"]), header("x-two", &["2"])]);

        for headers in [[("x-one", "old"), ("X-Two", "2")], [("x-two", "2"), ("X-ONE", "new")]] {
            assert!(proves(proof(), &headers), "{headers:?}");
        }
        for headers in [
            &[][..],
            &[("x-one", "old")],
            &[("x-one", ""), ("x-two", "2")],
            &[("x-one", "OLD"), ("x-two", "2")],
            &[("x-one", "old"), ("x-two", "3")],
            &[("x-one", "old"), ("x-one", "old"), ("x-two", "2")],
        ] {
            assert!(!proves(proof(), headers), "{headers:?}");
        }
    }

    #[test]
    fn basic_authentication_accepts_any_of_the_passwords() {
        let proof =
            || ProofSettings::Basic { user: "ntx".to_owned(), passwords: vec!["old".into(), "a:b".into()] };
        let line = |scheme: &str, pair: &str| format!("{scheme} {}", STANDARD.encode(pair));

        for right in [line("Basic", "ntx:old"), line("bASIC", "ntx:a:b")] {
            assert!(proves(proof(), &[("authorization", &right)]), "{right}");
        }
        let right = line("Basic", "ntx:old");
        for wrong in [
            line("Basic", "ntx:new"),
            line("Basic", "NTX:old"),
            line("Bearer", "ntx:old"),
            "Basic".to_owned(),
        ] {
            assert!(!proves(proof(), &[("authorization", &wrong)]), "{wrong}");
        }
        assert!(!proves(proof(), &[("authorization", &right), ("authorization", &right)]));
        assert!(!proves(proof(), &[]));
    }
}
