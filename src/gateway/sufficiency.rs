//! Whether a balance covers a payment: an exact comparison.

use std::cmp::Ordering;

use crate::domain::{Amount, PlainDecimal};

/// A balance compared with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sufficiency {
    /// Whether the balance covers the payment.
    pub is_sufficient: bool,
    /// The payment, in the balance's currency.
    pub amount: Amount,
    /// The missing amount; `None` if 96 bits cannot hold it.
    pub shortfall: Option<Amount>,
}

impl Sufficiency {
    /// Compares the available amount with a payment.
    #[must_use]
    pub fn of(available: Amount, amount: PlainDecimal) -> Self {
        let amount = amount.in_currency(available.currency());
        let (is_sufficient, shortfall) = match amount.value().cmp(&available.value()) {
            Ordering::Less | Ordering::Equal => (true, Some(Amount::zero(available.currency()))),
            Ordering::Greater => (false, amount.checked_sub(available).ok()),
        };
        Self { is_sufficient, amount, shortfall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Currency;

    fn held(available: &str, amount: &str) -> Sufficiency {
        let available = Amount::parse(available, Currency::BRL).unwrap();
        Sufficiency::of(available, PlainDecimal::parse(amount).unwrap())
    }

    #[test]
    fn sufficiency_compares_every_digit() {
        let (most, smallest) = ("9999999999999999999999999999", "0.000000000000000000000000001");
        for (available, amount, shortfall) in [
            ("100.00", "100.00", "0.00"),
            ("100.00", "100", "0.00"),
            ("100.00", "100.01", "0.01"),
            ("100.00", "99.995", "0.00"),
            ("99.994", "99.995", "0.001"),
            ("99.9", "100", "0.10"),
            ("-5.50", "10", "15.50"),
            ("0.00", smallest, smallest),
            (smallest, smallest, "0.00"),
            (most, most, "0.00"),
            ("79228162514264337593543950335", most, "0.00"),
            ("9999999999999999999999999998", most, "1.00"),
            // With cents it would have 30 digits.
            ("-0.01", most, "null"),
        ] {
            let held = held(available, amount);

            let missing = held.shortfall.map_or("null".to_owned(), |missing| missing.to_string());
            assert_eq!(missing, shortfall, "{available} {amount}");
            assert_eq!(held.is_sufficient, shortfall == "0.00", "{available} {amount}");
        }
    }

    #[test]
    fn the_amount_is_returned_in_the_format_of_amounts() {
        for (amount, shown) in [("150", "150.00"), ("99.995", "99.995"), ("007.5", "7.50")] {
            assert_eq!(held("0", amount).amount.to_string(), shown);
        }
    }
}
