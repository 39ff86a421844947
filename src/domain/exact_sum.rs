//! An exact sum of decimals. An intermediate sum may need more than 96 bits; only the total must fit.

use rust_decimal::Decimal;

/// Most decimals of a [`Decimal`].
pub(super) const MAX_SCALE: u32 = 28;

/// A sum as integers: whole units and units of 10^−28. Each part has room for more than 2^31 amounts of any size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExactSum {
    whole: i128,
    parts: i128,
    /// The most decimals of an amount so far.
    shown: u32,
}

impl ExactSum {
    pub(super) fn plus(self, value: Decimal) -> Self {
        let (mantissa, scale) = (value.mantissa(), value.scale());
        let one = 10_i128.pow(scale);
        Self {
            whole: self.whole + mantissa / one,
            parts: self.parts + mantissa % one * 10_i128.pow(MAX_SCALE - scale),
            shown: self.shown.max(scale),
        }
    }

    /// The sum, padded with zeros to the most decimals of an amount, as far as they fit. `None` if its significant
    /// digits do not fit.
    pub(super) fn total(self) -> Option<Decimal> {
        let (mut parts, mut scale) = (self.parts, MAX_SCALE);
        while scale > 0 && parts % 10 == 0 {
            (parts, scale) = (parts / 10, scale - 1);
        }
        let mantissa = self.whole.checked_mul(10_i128.pow(scale))?.checked_add(parts)?;
        let sum = Decimal::try_from_i128_with_scale(mantissa, scale).ok()?;
        Some(padded(sum, self.shown))
    }
}

/// The same value with zeros appended up to `scale`, as far as they fit.
fn padded(value: Decimal, scale: u32) -> Decimal {
    let at = |scale: u32| {
        let mantissa = value.mantissa().checked_mul(10_i128.checked_pow(scale - value.scale())?)?;
        Decimal::try_from_i128_with_scale(mantissa, scale).ok()
    };
    (value.scale()..=scale).rev().find_map(at).unwrap_or(value)
}
