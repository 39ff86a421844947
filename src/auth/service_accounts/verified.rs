//! The tokens that were verified, by their digest: a token comes with every request until it expires.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::token::Verified;

/// Each takes some 200 bytes. A pod has one token, and a new one about once an hour.
const MOST_TOKENS: usize = 10_000;

/// Tokens whose signature, issuer and audience hold; their time is looked at with every request.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens(Mutex<HashMap<[u8; 32], Verified>>);

impl VerifiedTokens {
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Verified> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Remembers a token. When there are too many, those whose time is over are forgotten, or else all.
    pub(super) fn keep(&self, digest: [u8; 32], verified: Verified, now: Timestamp) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MOST_TOKENS && !tokens.contains_key(&digest) {
            tokens.retain(|_, token| token.at(now).is_ok());
            if tokens.len() >= MOST_TOKENS {
                tokens.clear();
            }
        }
        tokens.insert(digest, verified);
    }
}
