//! Verified tokens by their digest: callers send the same token until it expires.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::token::Verified;

/// Most remembered tokens; each takes about 200 bytes. A pod uses one token at a time, and gets a new one about once an
/// hour.
const MOST_TOKENS: usize = 10_000;

/// Tokens with verified signature, issuer and audience. Their validity period is checked at every request.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens(Mutex<HashMap<[u8; 32], Verified>>);

impl VerifiedTokens {
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Verified> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Remembers a token. If there are too many, it first drops the expired ones, and all if that is not enough.
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
