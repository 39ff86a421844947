//! The parsed answer of a provider: the amounts of one balance, and the provider's own timestamp.

use std::borrow::Cow;

use jiff::Timestamp;

use super::amount::Amount;
use super::moment::with_nanoseconds;

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

/// The longest timestamp in bytes: room for any date, time and offset, and for more fraction digits than a clock has.
const LONGEST_TIMESTAMP: usize = 64;

impl ObservedAt {
    /// Reads the timestamp of a kind that documents one. `text` is `None` if the body has no such text.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let text = text.filter(|text| text.len() <= LONGEST_TIMESTAMP);
        let instant = text.and_then(|text| with_nanoseconds(text).parse().ok());
        instant.map_or(Self::Unreadable, Self::At)
    }

    /// The instant, if there is one.
    #[must_use]
    pub fn instant(self) -> Option<Timestamp> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Undocumented | Self::Unreadable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_read_with_any_number_of_fraction_digits() {
        let instant = |text: &str| ObservedAt::At(text.parse().unwrap());

        for digits in ["384", "384123456", "3841234567", "384123456789012345"] {
            let text = format!("2025-11-19T20:18:29.{digits}Z");
            let cut = &digits[..digits.len().min(9)];
            assert_eq!(
                ObservedAt::read(Some(&text)),
                instant(&format!("2025-11-19T20:18:29.{cut}Z")),
                "{text}"
            );
        }
        let long = format!("2025-11-19T20:18:29.{:0<60}Z", 384);
        for text in [None, Some(""), Some("2025-11-19T20:18:29.3841234567"), Some("2025-11-19"), Some(&long)]
        {
            assert_eq!(ObservedAt::read(text), ObservedAt::Unreadable, "{text:?}");
        }
    }
}
