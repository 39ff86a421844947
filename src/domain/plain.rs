//! Decimal numbers in requests and in the configuration: digits and an optional point.

use std::fmt;

use rust_decimal::Decimal;

use super::amount::Amount;
use super::currency::Currency;

/// Most digits; every number with so many fits into 96 bits.
const MOST_DIGITS: usize = 28;

/// A number of zero or more, with at most 28 digits; it gets its currency later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlainDecimal(Decimal);

impl PlainDecimal {
    /// Parses digits, optionally followed by a point and digits; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = [whole, fraction].concat();
        let is_plain = !whole.is_empty()
            && digits.len() <= MOST_DIGITS
            && digits.bytes().all(|digit| digit.is_ascii_digit());
        let mantissa: i128 = if is_plain { digits.parse().ok()? } else { return None };
        let scale = u32::try_from(fraction.len()).ok()?;
        Decimal::try_from_i128_with_scale(mantissa, scale).ok().map(Self)
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> Decimal {
        self.0
    }

    /// The number as an amount of this currency.
    #[must_use]
    pub fn in_currency(self, currency: Currency) -> Amount {
        Amount::new(self.0, currency)
    }
}

impl fmt::Display for PlainDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_a_point_are_parsed_without_loss() {
        for (text, expected) in [
            ("150.00", "150.00"),
            ("0", "0"),
            ("007.50", "7.50"),
            ("0.000", "0.000"),
            ("9999999999999999999999999999", "9999999999999999999999999999"),
            ("0.000000000000000000000000001", "0.000000000000000000000000001"),
            ("99999999999999.99999999999999", "99999999999999.99999999999999"),
        ] {
            assert_eq!(PlainDecimal::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn any_other_text_is_no_plain_decimal() {
        for text in [
            "",
            ".",
            "5.",
            ".5",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1e2",
            "1_000",
            "1,5",
            "1.2.3",
            "0x1",
            "NaN",
            "１",
            "99999999999999999999999999999",
            "0.0000000000000000000000000001",
        ] {
            assert_eq!(PlainDecimal::parse(text), None, "{text:?}");
        }
    }
}
