//! The only place that reads, scales or prints money.
//!
//! Nothing here rounds: a value that 96 bits and 28 decimals cannot hold exactly is an error. The parsing and the
//! checked arithmetic of `rust_decimal` round silently. So this file places digits by hand, and `sum.rs` adds
//! integers. The comparisons of `rust_decimal` are exact.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::amount_error::AmountError;
use super::currency::Currency;
use super::exact_sum::ExactSum;
use super::number::Number;

/// An exact amount of one currency. It cannot be built from a float and never changes its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    value: Decimal,
    currency: Currency,
}

impl Amount {
    /// Reads a JSON number's text (`48734.90`, `1e2`, `-0.00`) as major units of `currency`.
    ///
    /// Digits after the point are kept as sent; trailing zeros that do not fit are dropped.
    ///
    /// # Errors
    /// [`AmountError::NotANumber`] outside JSON's number grammar, [`AmountError::OutOfRange`] for a value that does
    /// not fit exactly.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let number = Number::parse(text).ok_or(AmountError::NotANumber)?;
        Ok(Self { value: number.into_decimal()?, currency })
    }

    /// An amount with this value.
    #[must_use]
    pub(super) fn new(value: Decimal, currency: Currency) -> Self {
        Self { value, currency }
    }

    /// Zero in this currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { value: Decimal::ZERO, currency }
    }

    /// The number itself, for comparisons.
    #[must_use]
    pub fn value(self) -> Decimal {
        self.value
    }

    /// The currency that the amount is in.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Adds exactly.
    ///
    /// # Errors
    /// [`AmountError::OutOfRange`] when the exact sum does not fit, [`AmountError::CurrencyMismatch`] for two
    /// currencies.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        if self.currency != other.currency {
            return Err(AmountError::CurrencyMismatch);
        }
        let sum = ExactSum::default().plus(self.value).plus(other.value).total();
        Ok(Self { value: sum.ok_or(AmountError::OutOfRange)?, currency: self.currency })
    }

    /// Adds any number of amounts exactly; `None` for no amount at all.
    ///
    /// # Errors
    /// As [`Amount::checked_add`]. An intermediate sum that is too large is not an error.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Result<Option<Self>, AmountError> {
        let mut amounts = amounts.into_iter();
        let Some(first) = amounts.next() else { return Ok(None) };
        let Some(second) = amounts.next() else { return Ok(Some(first)) };
        let mut sum = ExactSum::default().plus(first.value);
        for amount in std::iter::once(second).chain(amounts) {
            if amount.currency != first.currency {
                return Err(AmountError::CurrencyMismatch);
            }
            sum = sum.plus(amount.value);
        }
        let value = sum.total().ok_or(AmountError::OutOfRange)?;
        Ok(Some(Self { value, currency: first.currency }))
    }

    /// How many decimals the value needs: zeros at the end do not count.
    #[must_use]
    pub fn significant_decimals(self) -> u32 {
        self.value.normalize().scale()
    }

    /// Subtracts exactly.
    ///
    /// # Errors
    /// As [`Amount::checked_add`].
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.checked_add(Self { value: -other.value, ..other })
    }
}

impl fmt::Display for Amount {
    /// Writes at least the currency's ISO 4217 digits, padded with zeros; never an exponent, never `-0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_padded(f, self.value, self.currency.exponent().unwrap_or(0))
    }
}

/// Writes a number with at least `least` decimals.
pub(super) fn write_padded(f: &mut fmt::Formatter<'_>, value: Decimal, least: u8) -> fmt::Result {
    if value.is_sign_negative() && !value.is_zero() {
        f.write_str("-")?;
    }
    let (scale, least) = (value.scale() as usize, usize::from(least));
    let digits = format!("{:0>width$}", value.mantissa().unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    f.write_str(whole)?;
    if scale.max(least) > 0 {
        write!(f, ".{fraction:0<least$}")?;
    }
    Ok(())
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A whole number of a currency's smallest unit (centavos). It becomes an [`Amount`] only with its currency, so
/// that a unit cannot be mistaken for another.
#[derive(Clone, Debug)]
pub struct MinorUnits(Number);

impl MinorUnits {
    /// Parses an integer: an optional sign and digits.
    ///
    /// # Errors
    /// [`AmountError::NotAnInteger`] for a number with a point or an exponent, [`AmountError::NotANumber`] for
    /// any other text.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let number = Number::parse(text).ok_or(AmountError::NotANumber)?;
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            Ok(Self(number))
        } else {
            Err(AmountError::NotAnInteger)
        }
    }

    /// The same money in major units: 4873490 centavos are 48734.90.
    ///
    /// # Errors
    /// [`AmountError::NoMinorUnit`] for a currency without an ISO 4217 exponent, [`AmountError::OutOfRange`] for
    /// a value that does not fit exactly.
    pub fn in_major(self, currency: Currency) -> Result<Amount, AmountError> {
        let digits = currency.exponent().ok_or(AmountError::NoMinorUnit)?;
        self.in_major_with(digits, currency)
    }

    /// The same money in major units, for a provider that uses this many digits.
    ///
    /// # Errors
    /// [`AmountError::OutOfRange`] when the value cannot be held exactly.
    pub fn in_major_with(self, digits: u8, currency: Currency) -> Result<Amount, AmountError> {
        let scaled = Number { scale: self.0.scale + i64::from(digits), ..self.0 };
        Ok(Amount { value: scaled.into_decimal()?, currency })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn shown(text: &str, code: &str) -> Result<String, AmountError> {
        Amount::parse(text, currency(code)).map(|amount| amount.to_string())
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency_and_lose_none() {
        for (text, code, expected) in [
            ("48734.90", "BRL", "48734.90"),
            ("48734.9", "BRL", "48734.90"),
            ("0", "BRL", "0.00"),
            ("-0", "BRL", "0.00"),
            ("-0.00", "BRL", "0.00"),
            ("-12.30", "BRL", "-12.30"),
            ("120.0", "BRL", "120.00"),
            ("120.000", "BRL", "120.000"),
            ("0.00001", "BRL", "0.00001"),
            ("1e2", "BRL", "100.00"),
            ("1.50E+1", "BRL", "15.00"),
            ("1.2345e2", "BRL", "123.45"),
            ("5e-3", "BRL", "0.005"),
            ("9007199254740993.01", "BRL", "9007199254740993.01"),
            ("792281625142643375935439503.35", "BRL", "792281625142643375935439503.35"),
            ("7922816251426433759354395033.5", "BRL", "7922816251426433759354395033.50"),
            ("79228162514264337593543950335", "BRL", "79228162514264337593543950335.00"),
            ("79228162514264337593543950335.000", "JPY", "79228162514264337593543950335"),
            ("0.00000001", "BTC", "0.00000001"),
            ("1", "BTC", "1"),
            ("1.10", "BTC", "1.10"),
            ("7", "JPY", "7"),
            ("7.5", "JPY", "7.5"),
            ("7", "KWD", "7.000"),
            ("0e999999999999999999999", "BRL", "0.00"),
            ("100e-29", "BTC", "0.0000000000000000000000000010"),
            ("1.0000000000000000000000000000000000", "BTC", "1.0000000000000000000000000000"),
        ] {
            assert_eq!(shown(text, code).as_deref(), Ok(expected), "{text} {code}");
        }
    }

    #[test]
    fn a_text_outside_jsons_grammar_is_no_number() {
        for text in [
            "", "-", "+5", ".5", "5.", "007", "01", "1_000", "1,5", "1e", "1e+", "NaN", "Infinity", " 1",
            "1 ", "0x10", "1.2.3", "--1", "１",
        ] {
            assert_eq!(shown(text, "BRL"), Err(AmountError::NotANumber), "{text:?}");
        }
    }

    #[test]
    fn an_amount_that_does_not_fit_exactly_is_an_error() {
        for text in [
            "79228162514264337593543950336",
            "7922816251426433759354395033.55",
            "0.12345678901234567890123456789",
            "2.5e-28",
            "1e29",
            "1e999999",
            "1e-999999999999999999999",
        ] {
            assert_eq!(shown(text, "BTC"), Err(AmountError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn minor_units_become_major_units_of_their_currency() {
        let major = |text: &str, code: &str| {
            MinorUnits::parse(text)
                .and_then(|units| units.in_major(currency(code)))
                .map(|amount| amount.to_string())
        };

        assert_eq!(major("4873490", "MXN").as_deref(), Ok("48734.90"));
        assert_eq!(major("-5", "MXN").as_deref(), Ok("-0.05"));
        assert_eq!(major("0", "MXN").as_deref(), Ok("0.00"));
        assert_eq!(
            major("79228162514264337593543950335", "MXN").as_deref(),
            Ok("792281625142643375935439503.35")
        );
        assert_eq!(major("5", "JPY").as_deref(), Ok("5"));
        assert_eq!(major("5", "BTC"), Err(AmountError::NoMinorUnit));
        for text in ["1.0", "1e2", "0.5"] {
            assert_eq!(major(text, "MXN"), Err(AmountError::NotAnInteger), "{text}");
        }
    }

    #[test]
    fn a_sum_that_would_lose_a_digit_is_an_error() {
        let brl = |text: &str| Amount::parse(text, Currency::BRL).unwrap();

        assert_eq!(brl("1.50").checked_add(brl("2.5")).unwrap().to_string(), "4.00");
        assert_eq!(
            brl("79228162514264337593543950335").checked_add(brl("0.1")),
            Err(AmountError::OutOfRange)
        );
        assert_eq!(
            brl("79228162514264337593543950335")
                .checked_add(brl("-79228162514264337593543950335.0"))
                .unwrap(),
            brl("0")
        );
        let mxn = Amount::parse("1", Currency::MXN).unwrap();
        assert_eq!(brl("1").checked_add(mxn), Err(AmountError::CurrencyMismatch));
    }

    proptest! {
        #[test]
        fn centavos_agree_with_integer_arithmetic(units in any::<i64>()) {
            let amount = MinorUnits::parse(&units.to_string()).unwrap().in_major(Currency::MXN).unwrap();

            let sign = if units < 0 { "-" } else { "" };
            let (whole, cents) = (units.unsigned_abs() / 100, units.unsigned_abs() % 100);
            prop_assert_eq!(amount.to_string(), format!("{sign}{whole}.{cents:02}"));
        }

        #[test]
        fn a_decimal_text_is_kept_unchanged(mantissa in 0_i128..1 << 96, scale in 2_usize..=28, negative: bool) {
            let digits = format!("{mantissa:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if negative && mantissa != 0 { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}");

            prop_assert_eq!(shown(&text, "BRL").unwrap(), text);
        }

        #[test]
        fn an_exponent_only_moves_the_point(digits in 1_i64.., shift in 0_u32..=9) {
            let moved = shown(&format!("{digits}e-{shift}"), "BTC").unwrap();

            let unit = 10_i64.pow(shift);
            let expected = if shift == 0 {
                digits.to_string()
            } else {
                format!("{}.{:0width$}", digits / unit, digits % unit, width = shift as usize)
            };
            prop_assert_eq!(moved, expected);
        }

        #[test]
        fn sums_agree_with_integer_arithmetic(left: i64, right: i64, left_scale in 0_u32..=9, right_scale in 0_u32..=9) {
            let amount = |units: i64, scale: u32| {
                Amount { value: Decimal::try_from_i128_with_scale(units.into(), scale).unwrap(), currency: Currency::BRL }
            };

            let sum = amount(left, left_scale).checked_add(amount(right, right_scale)).unwrap();

            let scale = left_scale.max(right_scale);
            let units = i128::from(left) * 10_i128.pow(scale - left_scale)
                + i128::from(right) * 10_i128.pow(scale - right_scale);
            prop_assert_eq!(sum.value.mantissa() , units);
            prop_assert_eq!(sum.value.scale(), scale);
        }
    }
}
