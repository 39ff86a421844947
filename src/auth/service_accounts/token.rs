//! One token (RFC 7519, signed as in RFC 7515): parsed, verified, and checked against the trusted issuer.
//!
//! jsonwebtoken verifies the signature. This file checks the claims: the time is an argument, and each refusal has its
//! own reason, in the documented order.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::jwks::Jwks;
use super::settings::KubernetesSettings;
use crate::metrics::AuthFailure;

/// Tolerance for clocks that differ, in seconds.
const LEEWAY: f64 = 30.0;
const ALGORITHMS: [(&str, Algorithm); 2] = [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256)];

/// A parsed token that is not verified yet.
pub(super) struct Token<'a> {
    /// The first two parts, verbatim.
    signed: &'a str,
    signature: &'a str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// A token that the issuer signed for us: its subject, and its validity in Unix seconds.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) subject: Arc<str>,
    pub(super) not_before: f64,
    pub(super) expires: f64,
}

impl<'a> Token<'a> {
    /// Parses the three parts; a text with another number of parts is not a token.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, AuthFailure> {
        if text.split(|byte| *byte == b'.').count() != 3 {
            return Err(AuthFailure::Unknown);
        }
        Self::read(text).ok_or(AuthFailure::Malformed)
    }

    fn read(text: &'a [u8]) -> Option<Self> {
        let (signed, signature) = str::from_utf8(text).ok()?.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        URL_SAFE_NO_PAD.decode(signature).ok()?;
        let (header, claims) = (object(header)?, object(claims)?);
        // A token with critical extensions is refused: we support none.
        (!header.contains_key("crit")).then_some(Self { signed, signature, header, claims })
    }

    /// Checks that the issuer signed the token for our audience.
    pub(super) fn verify(&self, keys: &Jwks, expected: &KubernetesSettings) -> Result<Verified, AuthFailure> {
        let stated = text(&self.header, "alg");
        let allowed = ALGORITHMS.into_iter().find(|(name, _)| *name == stated);
        let (_, algorithm) = allowed.ok_or(AuthFailure::Algorithm)?;
        let key = keys.find(text(&self.header, "kid")).ok_or(AuthFailure::UnknownKey)?;
        if key.algorithm != algorithm {
            return Err(AuthFailure::Algorithm);
        }
        let is_signed =
            jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.public, algorithm);
        if is_signed != Ok(true) {
            return Err(AuthFailure::Signature);
        }
        if text(&self.claims, "iss") != expected.issuer {
            return Err(AuthFailure::Issuer);
        }
        if !self.is_for(&expected.audience) {
            return Err(AuthFailure::Audience);
        }
        let moment = |name| self.claims.get(name).and_then(Value::as_f64);
        Ok(Verified {
            subject: text(&self.claims, "sub").into(),
            // A token without this claim, or without `exp`, is never valid.
            not_before: moment("nbf").unwrap_or(f64::INFINITY),
            expires: moment("exp").unwrap_or(f64::NEG_INFINITY),
        })
    }

    /// Whether the token's audience is this one, or a list that contains it.
    fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }
}

impl Verified {
    /// The subject, if the token is valid at this moment.
    pub(super) fn at(&self, now: Timestamp) -> Result<Arc<str>, AuthFailure> {
        let now = now.as_duration().as_secs_f64();
        if now >= self.expires + LEEWAY {
            return Err(AuthFailure::Expired);
        }
        if now < self.not_before - LEEWAY {
            return Err(AuthFailure::NotYetValid);
        }
        Ok(Arc::clone(&self.subject))
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The text of a member. It is empty, and so matches no name, if the member is missing or not a text.
fn text<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
