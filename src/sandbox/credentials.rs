//! The credentials that a simulated provider accepts, and the access tokens that it has issued. They are random per
//! provider, so that no test can pass with a value known in advance. They are not for real use: the random numbers are
//! not cryptographic, and the control API shows everything.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Serialize;

/// The longest life of a token, because an `Instant` cannot represent every later moment.
const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

/// The credentials that one simulated provider accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The `clientId` of a token request (NTX kinds).
    pub client_id: String,
    /// The `clientSecret` of a token request (NTX kinds).
    pub client_secret: String,
    /// A bearer token that was never issued and never expires (NTX kinds).
    pub token: String,
    /// The `x-api-key` header (`pluggo`).
    pub api_key: String,
    /// The `x-token` header (`pluggo`).
    pub session_token: String,
}

/// The access tokens issued so far, with the moment at which each one expires.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    live: HashMap<String, Instant>,
}

impl Credentials {
    pub(super) fn generate() -> Self {
        Self {
            client_id: format!("client-{}", random_text(16)),
            client_secret: format!("secret-{}", random_text(32)),
            token: random_jwt(),
            api_key: format!("key-{}", random_text(32)),
            session_token: random_jwt(),
        }
    }
}

impl Tokens {
    pub(super) fn issue(&mut self, life: Duration, now: Instant) -> String {
        self.live.retain(|_, expiry| *expiry > now);
        let token = random_jwt();
        self.live.insert(token.clone(), now + life.min(CENTURY));
        token
    }

    /// Adds a token that was not issued here.
    pub(super) fn add_external(&mut self, token: &str, now: Instant) {
        self.live.insert(token.to_owned(), now + CENTURY);
    }

    pub(super) fn is_live(&self, token: &str, now: Instant) -> bool {
        self.live.get(token).is_some_and(|expiry| *expiry > now)
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.live.remove(token);
    }

    pub(super) fn revoke_all(&mut self) {
        self.live.clear();
    }
}

/// Returns three parts, like a JWT. Callers treat it as opaque, so only its shape is right.
fn random_jwt() -> String {
    let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    format!("{header}.eyJ{}.{}", random_text(61), random_text(43))
}

fn random_text(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_instances_accept_different_credentials() {
        assert_ne!(Credentials::generate(), Credentials::generate());
    }

    #[test]
    fn a_client_id_and_its_secret_have_a_legal_length() {
        let credentials = Credentials::generate();

        assert!((8..=64).contains(&credentials.client_id.len()));
        assert!((8..=64).contains(&credentials.client_secret.len()));
    }

    #[test]
    fn a_token_is_live_until_its_life_is_over() {
        let start = super::super::clock::now();
        let mut tokens = Tokens::default();

        let token = tokens.issue(Duration::from_secs(10), start);

        assert!(tokens.is_live(&token, start + Duration::from_secs(9)));
        assert!(!tokens.is_live(&token, start + Duration::from_secs(10)));
        assert!(!tokens.is_live("another", start));
    }

    #[test]
    fn a_revoked_token_is_not_live() {
        let start = super::super::clock::now();
        let mut tokens = Tokens::default();
        let one = tokens.issue(Duration::MAX, start);
        let other = tokens.issue(Duration::MAX, start);

        tokens.revoke(&one);

        assert!(!tokens.is_live(&one, start));
        assert!(tokens.is_live(&other, start));
    }
}
