//! The kind of a simulated provider, and the facts that depend on it.

use std::fmt;

use super::calls::Operation;

/// The provider that a [`SimulatedProvider`](super::SimulatedProvider) imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// NTX Pay, Brazil.
    NtxpayBr,
    /// Avista: another brand of the Brazilian NTX platform.
    Avista,
    /// Pluggo, with several balances under one account.
    Pluggo,
    /// NTX Pay, Mexico, which counts in centavos.
    NtxpayMx,
    /// Any kind that a configuration declares: see [`Script`](super::Script).
    Declared,
}

impl Kind {
    /// Every kind with a behaviour of its own, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::NtxpayBr, Self::Avista, Self::Pluggo, Self::NtxpayMx];

    /// Returns the name of the kind in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NtxpayBr => "ntxpay-br",
            Self::Avista => "avista",
            Self::Pluggo => "pluggo",
            Self::NtxpayMx => "ntxpay-mx",
            Self::Declared => "declared",
        }
    }

    /// The field with the provider's own timestamp, if it has one.
    pub(super) const fn timestamp_field(self) -> Option<&'static str> {
        match self {
            Self::NtxpayBr | Self::Avista => Some("consultedAt"),
            Self::Pluggo => Some("timestamp"),
            Self::NtxpayMx | Self::Declared => None,
        }
    }

    pub(super) fn operation(self, path: &str) -> Operation {
        match (self, path) {
            // `State::enter_call` uses the script instead.
            (Self::Declared, _) => Operation::Other,
            (_, "/api/balance" | "/balance") => Operation::Balance,
            (Self::NtxpayBr | Self::Avista | Self::NtxpayMx, "/api/auth/token")
            | (Self::NtxpayBr | Self::Avista, "/oauth/token") => Operation::Token,
            _ => Operation::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_knows_its_own_paths_only() {
        for kind in Kind::ALL {
            assert_eq!(kind.operation("/api/balance"), Operation::Balance);
            assert_eq!(kind.operation("/api/balances"), Operation::Other);
        }
        assert_eq!(Kind::NtxpayMx.operation("/api/auth/token"), Operation::Token);
        assert_eq!(Kind::NtxpayMx.operation("/oauth/token"), Operation::Other);
        assert_eq!(Kind::Avista.operation("/oauth/token"), Operation::Token);
        assert_eq!(Kind::Pluggo.operation("/api/auth/token"), Operation::Other);
    }
}
