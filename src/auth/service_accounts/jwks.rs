//! The public keys of an issuer of tokens, from a JSON Web Key Set (RFC 7517).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// The named keys for RS256 and ES256. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Jwks(Arc<HashMap<String, Key>>);

/// One key and its algorithm.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) public: DecodingKey,
}

/// Why a text is not a usable key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not JSON, or not of this form.
    #[error("expected a JSON Web Key Set")]
    Unreadable,
    /// No usable key.
    #[error("expected at least one key for RS256 or ES256 with a kid")]
    Empty,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    /// Parses a key set; keys for other purposes and unreadable keys are skipped.
    ///
    /// # Errors
    /// [`JwksError`] when the set has no usable key.
    pub fn parse(text: &[u8]) -> Result<Self, JwksError> {
        let set: Set = serde_json::from_slice(text).map_err(|_| JwksError::Unreadable)?;
        let mut keys = HashMap::new();
        for (name, key) in set.keys.into_iter().filter_map(key) {
            // The first key of a name counts, so that a later one cannot replace it.
            keys.entry(name).or_insert(key);
        }
        if keys.is_empty() { Err(JwksError::Empty) } else { Ok(Self(Arc::new(keys))) }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Key> {
        self.0.get(name)
    }
}

/// A key's name and the key, if tokens may be signed with it.
fn key(jwk: serde_json::Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let is_meant = |stated: &KeyAlgorithm| *stated == KeyAlgorithm::from(algorithm);
    let is_for_signatures = |stated: &PublicKeyUse| *stated == PublicKeyUse::Signature;
    let is_usable = jwk.common.key_algorithm.as_ref().is_none_or(is_meant)
        && jwk.common.public_key_use.as_ref().is_none_or(is_for_signatures);
    let name = jwk.common.key_id.as_ref().filter(|name| is_usable && !name.is_empty())?;
    Some((name.clone(), Key { algorithm, public: DecodingKey::from_jwk(&jwk).ok()? }))
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
