//! Names and keys. Only the configuration creates names, so an unknown name cannot occur behind the router.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::currency::Currency;

/// The longest name: one character and up to 62 more.
const LONGEST_NAME: usize = 63;
/// The longest balance type.
const LONGEST_TYPE: usize = 32;

/// A text that is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 63 of a-z, 0-9 and -, the first not -")]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name: `[a-z0-9][a-z0-9-]{0,62}`.
            ///
            /// # Errors
            /// [`NameError`] for any other text.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(NameError) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name!(
    /// The configured name of an account: one credential at one provider.
    AccountName
);
name!(
    /// The configured name of a provider; a metric label.
    ProviderName
);
name!(
    /// The configured name of a caller; a metric label.
    CallerName
);
name!(
    /// The configured name of a hook; a metric label.
    HookName
);

fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(legal) && !text.starts_with('-')
}

/// A provider's own classification of a balance, as configured (`FIAT`, `CRYPTO`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BalanceType(Arc<str>);

impl BalanceType {
    /// Reads 1 to 32 of `A`–`Z`, `0`–`9` and `_`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        ((1..=LONGEST_TYPE).contains(&text.len()) && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for BalanceType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Selects a balance of an account. Without a currency the request has no filters, and the provider decides which
/// balance it returns.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// The requested currency.
    pub currency: Option<Currency>,
    /// The requested type.
    pub r#type: Option<BalanceType>,
}

impl Selector {
    /// The balance in this currency, of any type.
    #[must_use]
    pub fn of(currency: Currency) -> Self {
        Self { currency: Some(currency), r#type: None }
    }
}

/// The cache key of a balance: a digest of account name, account identity, currency and type. Two accounts never
/// share a key, and an account with a changed identity has a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BalanceKey([u8; 16]);

impl BalanceKey {
    /// The digest itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes the key. `identity` holds the settings that decide whose balance the credential shows.
    #[must_use]
    pub fn new(account: &AccountName, identity: &[&str], selector: &Selector) -> Self {
        let currency = selector.currency.as_ref().map_or("", Currency::as_str);
        let r#type = selector.r#type.as_ref().map_or("", BalanceType::as_str);
        let mut digest = Sha256::new();
        for part in [account.as_str(), currency, r#type].iter().chain(identity) {
            // The length prefix distinguishes ("ab", "c") from ("a", "bc").
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&digest.finalize()[..16]);
        Self(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_digits_and_dashes() {
        for text in ["a", "treasury-br", "0", &"a".repeat(63)] {
            assert!(AccountName::parse(text).is_ok(), "{text:?}");
        }
        for text in ["", "-a", "A", "a_b", "a.b", "=a", "é", &"a".repeat(64)] {
            assert!(AccountName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_depends_on_account_identity_currency_and_type() {
        let account = |name| AccountName::parse(name).unwrap();
        let crypto = Selector { r#type: BalanceType::parse("CRYPTO"), ..Selector::of(Currency::BRL) };
        let keys = [
            BalanceKey::new(&account("a"), &["p", "q"], &Selector::of(Currency::BRL)),
            BalanceKey::new(&account("b"), &["p", "q"], &Selector::of(Currency::BRL)),
            BalanceKey::new(&account("a"), &["pq"], &Selector::of(Currency::BRL)),
            BalanceKey::new(&account("a"), &["p", "q"], &Selector::of(Currency::MXN)),
            BalanceKey::new(&account("a"), &["p", "q"], &Selector::default()),
            BalanceKey::new(&account("a"), &["p", "q"], &crypto),
        ];

        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
