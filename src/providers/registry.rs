//! The kinds of providers: built in, or declared in the configuration.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::adapter::Provider;
use super::declared::Declared;
use super::{ntxpay_br, ntxpay_mx, pluggo};

/// Every built-in kind of provider.
pub const REGISTRY: [&'static dyn Provider; 4] =
    [&ntxpay_br::NTXPAY_BR, &ntxpay_br::AVISTA, &ntxpay_mx::NtxpayMx, &pluggo::Pluggo];

/// Finds a built-in adapter by the `kind` of the configuration.
#[must_use]
pub fn find(kind: &str) -> Option<&'static dyn Provider> {
    REGISTRY.into_iter().find(|provider| provider.kind() == kind)
}

/// The adapter of one provider.
#[derive(Clone)]
pub enum Adapter {
    /// One of [`REGISTRY`].
    BuiltIn(&'static dyn Provider),
    /// One that the configuration declares.
    Declared(Arc<Declared>),
}

impl Deref for Adapter {
    type Target = dyn Provider;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::BuiltIn(provider) => *provider,
            Self::Declared(declared) => &**declared,
        }
    }
}

impl PartialEq for Adapter {
    /// Two declarations under one name are equal only if they say the same.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::BuiltIn(one), Self::BuiltIn(other)) => one.kind() == other.kind(),
            (Self::Declared(one), Self::Declared(other)) => {
                one.kind() == other.kind() && one.digest() == other.digest()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in ["ntxpay-br", "avista", "ntxpay-mx", "pluggo"] {
            assert_eq!(find(kind).map(Provider::kind), Some(kind));
        }
        assert!(find("NTXPAY-BR").is_none());
    }
}
