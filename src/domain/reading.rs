//! The parsed answer of a provider: the amounts of one balance, and the provider's own timestamp.

use std::borrow::Cow;

use jiff::Timestamp;

use super::amount::Amount;

/// A parsed answer of a provider.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Spendable now.
    pub available: Amount,
    /// Held by operations in progress.
    pub blocked: Option<Amount>,
    /// Set aside.
    pub reserved: Option<Amount>,
    /// Being processed.
    pub processing: Option<Amount>,
    /// The provider's own total, never computed.
    pub total: Option<Amount>,
    /// The provider's money fields under its own names, their text verbatim.
    pub reported: Vec<(Cow<'static, str>, String)>,
    /// The provider's own timestamp.
    pub observed_at: ObservedAt,
}

impl Reading {
    /// Whether the provider's total differs from the sum of its parts; false without a total.
    #[must_use]
    pub fn is_mismatched(&self) -> bool {
        match (self.total, self.blocked) {
            (Some(total), Some(blocked)) => {
                self.available.checked_add(blocked).map(Amount::value) != Ok(total.value())
            }
            _ => false,
        }
    }
}

/// The provider's own timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedAt {
    /// This kind of provider sends none.
    Undocumented,
    /// The documented timestamp is missing or unreadable.
    Unreadable,
    /// The instant.
    At(Timestamp),
}

impl ObservedAt {
    /// The instant, if there is one.
    #[must_use]
    pub fn instant(self) -> Option<Timestamp> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Undocumented | Self::Unreadable => None,
        }
    }
}
