//! Finds the caller of a request by its key (only the SHA-256 is kept) or by its service-account token.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::identity::Identity;
use super::service_accounts::ServiceAccounts;
use crate::domain::DigestState;
use crate::metrics::AuthFailure;

/// The credential of a request without its secret, to find the caller again after a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A key, by its SHA-256.
    Key([u8; 32]),
    /// The token of a service account, by its subject.
    Token(Arc<str>),
}

/// All callers, indexed by their identities. `C` is the state that the owner keeps for each caller.
pub struct Callers<C> {
    by_digest: HashMap<[u8; 32], Arc<C>, DigestState>,
    by_subject: HashMap<String, Arc<C>>,
}

impl<C> Callers<C> {
    /// Indexes the callers. The configuration guarantees that no two share a key or a service account.
    pub fn new(callers: impl IntoIterator<Item = (Identity, Arc<C>)>) -> Self {
        let mut index = Self { by_digest: HashMap::default(), by_subject: HashMap::new() };
        for (identity, caller) in callers {
            match identity {
                Identity::Keys(digests) => {
                    let entries = digests.into_iter().map(|digest| (digest, Arc::clone(&caller)));
                    index.by_digest.extend(entries);
                }
                Identity::ServiceAccount(account) => {
                    index.by_subject.insert(account.subject(), caller);
                }
            }
        }
        index
    }

    /// All callers; a caller with several keys occurs once per key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<C>> {
        self.by_digest.values().chain(self.by_subject.values())
    }

    /// Finds the caller of a request by its key, or else by its token.
    ///
    /// # Errors
    /// Why the request has no known caller.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        service_accounts: &ServiceAccounts,
        now: Timestamp,
    ) -> Result<&Arc<C>, AuthFailure> {
        let key = bearer(headers).ok_or(AuthFailure::Missing)?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        if let Some(caller) = self.with_key(&digest) {
            return Ok(caller);
        }
        let subject = service_accounts.subject(key, &digest, now)?;
        self.by_subject.get(&*subject).ok_or(AuthFailure::UnknownServiceAccount)
    }

    /// The credential of a request, if it has a valid one.
    #[must_use]
    pub fn credential(
        &self,
        headers: &HeaderMap,
        service_accounts: &ServiceAccounts,
        now: Timestamp,
    ) -> Option<Credential> {
        let key = bearer(headers)?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        match self.with_key(&digest) {
            Some(_) => Some(Credential::Key(digest)),
            None => service_accounts.subject(key, &digest, now).ok().map(Credential::Token),
        }
    }

    /// The caller of a credential, if it is still known.
    #[must_use]
    pub fn find(&self, credential: &Credential) -> Option<&Arc<C>> {
        match credential {
            Credential::Key(digest) => self.with_key(digest),
            Credential::Token(subject) => self.by_subject.get(&**subject),
        }
    }

    fn with_key(&self, digest: &[u8; 32]) -> Option<&Arc<C>> {
        // The map's look-up does not take constant time, but it compares only digests: its timing does not help to
        // guess a key. The final comparison takes constant time.
        let found = self.by_digest.get_key_value(digest);
        let known = found.map_or([0; 32], |(known, _)| *known);
        let is_known = bool::from(words(&known).ct_eq(&words(digest)));
        found.map(|(_, caller)| caller).filter(|_| is_known)
    }
}

/// The digest as machine words: fewer comparisons than bytes.
fn words(digest: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|word| {
        u64::from_ne_bytes(std::array::from_fn(|byte| digest[word * size_of::<u64>() + byte]))
    })
}

/// The key in `Authorization: Bearer`; `None` unless the header occurs exactly once.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next()?.as_bytes();
    let (scheme, key) = line.split_at_checked(7)?;
    let is_one = lines.next().is_none();
    (is_one && scheme.eq_ignore_ascii_case(b"bearer "))
        .then(|| key.trim_ascii())
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_caller_is_identified_by_exactly_one_bearer_key() {
        let keys = |key: &str| Identity::Keys(vec![Sha256::digest(key).into()]);
        let callers =
            Callers::new([(keys("key-1"), Arc::new("checkout")), (keys("key-2"), Arc::new("dashboard"))]);
        let identify = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (AUTHORIZATION, line.parse().unwrap())).collect();
            let none = ServiceAccounts::new(Arc::new(Metrics::new("0", "0").unwrap()));
            callers.identify(&headers, &none, Timestamp::UNIX_EPOCH).map(|caller| **caller)
        };

        assert_eq!(identify(&["Bearer key-1"]), Ok("checkout"));
        assert_eq!(identify(&["bEARER  key-2 "]), Ok("dashboard"));
        assert_eq!(identify(&["Bearer key-3"]), Err(AuthFailure::Unknown));
        for missing in
            [&[][..], &["Bearer"], &["Bearer "], &["Basic key-1"], &["Bearer key-1", "Bearer key-1"]]
        {
            assert_eq!(identify(missing), Err(AuthFailure::Missing), "{missing:?}");
        }
    }
}
