//! A share in hundredths of a percent. It is the only rounded number (half to even), and never an amount of a provider.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::amount::{Amount, write_padded};

/// The number of shown decimals.
const DECIMALS: u8 = 2;
/// The decimal places from a share to hundredths of a percent: × 10^4.
const SHIFT: u32 = 2 + DECIMALS as u32;

/// A percentage with two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentage(Decimal);

impl Percentage {
    /// 100 × part / whole; `None` for a whole that is not above zero, and for a result beyond 96 bits.
    #[must_use]
    pub fn of(part: Amount, whole: Amount) -> Option<Self> {
        let (part, whole) = (part.value(), whole.value());
        if whole <= Decimal::ZERO {
            return None;
        }
        let hundredths = i128::try_from(hundredths(part, whole)?).ok()?;
        let signed = if part.is_sign_negative() { -hundredths } else { hundredths };
        // Trailing zeros that do not fit are dropped here, and padded when shown.
        let at = |scale: u32| {
            let left_off = 10_i128.pow(u32::from(DECIMALS) - scale);
            let fits = signed % left_off == 0;
            fits.then(|| Decimal::try_from_i128_with_scale(signed / left_off, scale).ok()).flatten()
        };
        (0..=u32::from(DECIMALS)).rev().find_map(at).map(Self)
    }
}

/// The magnitude of the share in hundredths of a percent, half to even: part × 10^4 / whole. It divides digit by
/// digit, because the dividend may need 203 bits.
fn hundredths(part: Decimal, whole: Decimal) -> Option<u128> {
    let (dividend, mut divisor) = (part.mantissa().unsigned_abs(), whole.mantissa().unsigned_abs());
    let up = (SHIFT + whole.scale()).saturating_sub(part.scale());
    let down = part.scale().saturating_sub(SHIFT + whole.scale());
    // A dividend of 96 bits divided by more than 128 bits is zero.
    let Some(scaled) = divisor.checked_mul(10_u128.pow(down)) else { return Some(0) };
    divisor = scaled;
    let (mut quotient, mut rest) = (dividend / divisor, dividend % divisor);
    for _ in 0..up {
        // The divisor has at most 96 bits here, so ten times the remainder fits.
        quotient = quotient.checked_mul(10)?.checked_add(rest * 10 / divisor)?;
        rest = rest * 10 % divisor;
    }
    let is_up = match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
        std::cmp::Ordering::Greater => true,
    };
    quotient.checked_add(u128::from(is_up))
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_padded(f, self.0, DECIMALS)
    }
}

impl Serialize for Percentage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Currency;

    const LARGEST: &str = "79228162514264337593543950335";
    const SMALLEST: &str = "0.0000000000000000000000000001";

    fn shown(part: &str, whole: &str) -> Option<String> {
        let amount = |text: &str| Amount::parse(text, Currency::BRL).unwrap();
        Percentage::of(amount(part), amount(whole)).map(|percentage| percentage.to_string())
    }

    #[test]
    fn a_share_is_shown_with_two_decimals_half_to_even() {
        for (part, whole, expected) in [
            ("0.00", "48734.90", Some("0.00")),
            ("150.10", "20150.35", Some("0.74")),
            ("1", "3", Some("33.33")),
            ("2", "3", Some("66.67")),
            ("50.00", "100.00", Some("50.00")),
            ("100", "100", Some("100.00")),
            ("150", "100", Some("150.00")),
            ("0.125", "100", Some("0.12")),
            ("0.135", "100", Some("0.14")),
            ("0.1250000001", "100", Some("0.13")),
            ("-0.125", "100", Some("-0.12")),
            ("-0.135", "100", Some("-0.14")),
            ("-0.004", "100", Some("0.00")),
            ("1", "0", None),
            ("1", "-5", None),
            (SMALLEST, LARGEST, Some("0.00")),
            (SMALLEST, SMALLEST, Some("100.00")),
            ("0.0000000000000000000000000003", "200000000000000000000", Some("0.00")),
            (LARGEST, LARGEST, Some("100.00")),
            // 7922816251426433759354395033500: too large, even without its zeros at the end.
            (LARGEST, "1", None),
            (LARGEST, "100", Some("79228162514264337593543950335.00")),
            (LARGEST, "10", None),
            (LARGEST, "1000", Some("7922816251426433759354395033.50")),
            (LARGEST, SMALLEST, None),
        ] {
            assert_eq!(shown(part, whole).as_deref(), expected, "{part} of {whole}");
        }
    }

    proptest! {
        #[test]
        fn a_share_agrees_with_integer_arithmetic(part in -1_000_000_000_i64..1_000_000_000, whole in 1_i64..1_000_000_000) {
            let cents = |units: i64| {
                Amount::new(Decimal::try_from_i128_with_scale(units.into(), 2).unwrap(), Currency::BRL)
            };

            let percentage = Percentage::of(cents(part), cents(whole)).unwrap();

            // Off by at most half of the last digit; exactly half goes to the even digit.
            let twice_off = 2 * (percentage.0.mantissa() * i128::from(whole) - i128::from(part) * 10_000);
            prop_assert!(twice_off.abs() <= i128::from(whole));
            prop_assert!(twice_off.abs() < i128::from(whole) || percentage.0.mantissa() % 2 == 0);
        }
    }
}
