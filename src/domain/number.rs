//! Decimal numbers as digits, read from JSON text without a float.

use rust_decimal::Decimal;

use super::amount_error::AmountError;
use super::exact_sum::MAX_SCALE;

/// Digits of 2^96, the bound of a [`Decimal`]'s mantissa.
const MAX_DIGITS: usize = 29;

/// A number as digits: ± `digits` × 10^−`scale`. It may have any length; only [`Number::into_decimal`] has bounds.
#[derive(Clone, Debug)]
pub(super) struct Number {
    pub(super) negative: bool,
    /// Without leading zeros; empty for zero.
    pub(super) digits: Vec<u8>,
    pub(super) scale: i64,
}

impl Number {
    /// Reads exactly JSON's number grammar: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || has_leading_zero || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
        let decimals = i64::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits, scale: decimals.saturating_sub(exponent) })
    }

    pub(super) fn into_decimal(self) -> Result<Decimal, AmountError> {
        let Self { negative, mut digits, mut scale } = self;
        let most = i64::from(MAX_SCALE);
        if digits.is_empty() {
            scale = scale.clamp(0, most);
        }
        if scale < 0 {
            let missing = usize::try_from(-scale).unwrap_or(usize::MAX);
            if digits.len().saturating_add(missing) > MAX_DIGITS {
                return Err(AmountError::OutOfRange);
            }
            digits.resize(digits.len() + missing, b'0');
            scale = 0;
        }
        loop {
            if scale <= most
                && digits.len() <= MAX_DIGITS
                && let Some(decimal) = decimal_of(negative, &digits, scale)
            {
                return Ok(decimal);
            }
            if scale == 0 || digits.pop() != Some(b'0') {
                return Err(AmountError::OutOfRange);
            }
            scale -= 1;
        }
    }
}

fn decimal_of(negative: bool, digits: &[u8], scale: i64) -> Option<Decimal> {
    let magnitude = digits.iter().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    let mantissa = if negative { -magnitude } else { magnitude };
    Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?).ok()
}

/// Parses an exponent. Beyond 64 bits it saturates: with such an exponent, only zero is in range.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude: i64 = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -magnitude } else { magnitude })
}
