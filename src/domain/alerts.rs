//! Alert levels: decides whether a balance is too low, too high, or has too much blocked.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::plain::PlainDecimal;
use super::reading::Reading;

/// At most nine, so that a ratio times any amount fits into 128 bits: 10^9 × 2^96.
const MOST_RATIO_DECIMALS: u32 = 9;

/// An alert level of a balance; a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Available is below `critical`.
    Critical,
    /// Available is below `warning`, but not below `critical`.
    Warning,
    /// Available is above `high`.
    High,
    /// Blocked is above `blocked_ratio` of the total.
    HighBlocked,
}

impl Level {
    /// The label of the level.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::High => "high",
            Self::HighBlocked => "high_blocked",
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A threshold for the available amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(Decimal);

impl Threshold {
    /// Reads a plain decimal, with or without a minus.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('-') {
            Some(magnitude) => PlainDecimal::parse(magnitude).map(|magnitude| Self(-magnitude.value())),
            None => PlainDecimal::parse(text).map(|magnitude| Self(magnitude.value())),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share of a total: 0 to 1, with at most nine decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(PlainDecimal);

impl Ratio {
    /// Reads a plain decimal within the bounds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = PlainDecimal::parse(text)?;
        let is_ratio = number.value() <= Decimal::ONE && number.value().scale() <= MOST_RATIO_DECIMALS;
        is_ratio.then_some(Self(number))
    }

    /// Whether `part` is more than this share of a `whole` above zero, exactly.
    fn is_exceeded(self, part: Decimal, whole: Decimal) -> bool {
        let (share, scale) = (self.0.value(), whole.scale() + self.0.value().scale());
        let bound = share.mantissa().unsigned_abs() * whole.mantissa().unsigned_abs();
        part > Decimal::ZERO && is_greater(part.mantissa().unsigned_abs(), part.scale(), bound, scale)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether left × 10^−`left_scale` > right × 10^−`right_scale`, for a left above zero.
fn is_greater(left: u128, left_scale: u32, right: u128, right_scale: u32) -> bool {
    let at_scale = |value: u128, by: u32| value.checked_mul(10_u128.checked_pow(by)?);
    match right_scale.checked_sub(left_scale) {
        // A product beyond 128 bits is greater than one that fits.
        Some(by) => at_scale(left, by).is_none_or(|left| left > right),
        None => right == 0 || at_scale(right, left_scale - right_scale).is_some_and(|right| left > right),
    }
}

/// The thresholds of one balance, each of them optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertLevels {
    /// Available below this is critical.
    pub critical: Option<Threshold>,
    /// Available below this, but not critical, is a warning.
    pub warning: Option<Threshold>,
    /// Available above this is high.
    pub high: Option<Threshold>,
    /// A blocked share of the total above this is too high.
    pub blocked_ratio: Option<Ratio>,
}

impl AlertLevels {
    /// Every configured level, and whether the balance has reached it; the most urgent first.
    #[must_use]
    pub fn judge(&self, reading: &Reading) -> Vec<(Level, bool)> {
        let available = reading.available.value();
        let critical = self.critical.map(|critical| available < critical.0);
        let is_critical = critical == Some(true);
        let warning = self.warning.map(|warning| !is_critical && available < warning.0);
        let high = self.high.map(|high| available > high.0);
        let high_blocked = self.blocked_ratio.map(|ratio| is_highly_blocked(ratio, reading));
        let judged = [
            (Level::Critical, critical),
            (Level::Warning, warning),
            (Level::High, high),
            (Level::HighBlocked, high_blocked),
        ];
        judged.into_iter().filter_map(|(level, is_active)| Some((level, is_active?))).collect()
    }

    /// The levels that the balance has reached, the most urgent first.
    #[must_use]
    pub fn active(&self, reading: &Reading) -> Vec<Level> {
        self.judge(reading).into_iter().filter_map(|(level, is_active)| is_active.then_some(level)).collect()
    }
}

fn is_highly_blocked(ratio: Ratio, reading: &Reading) -> bool {
    let (Some(blocked), Some(total)) = (reading.blocked, reading.total) else { return false };
    let (blocked, total) = (blocked.value(), total.value());
    if total > Decimal::ZERO { ratio.is_exceeded(blocked, total) } else { blocked > Decimal::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Amount, Currency, ObservedAt};

    fn reading(available: &str, blocked: Option<&str>, total: Option<&str>) -> Reading {
        let brl = |text: &str| Amount::parse(text, Currency::BRL).unwrap();
        Reading {
            available: brl(available),
            blocked: blocked.map(brl),
            reserved: None,
            processing: None,
            total: total.map(brl),
            reported: Vec::new(),
            observed_at: ObservedAt::Undocumented,
        }
    }

    fn levels() -> AlertLevels {
        AlertLevels {
            critical: Threshold::parse("500.00"),
            warning: Threshold::parse("2000"),
            high: Threshold::parse("10000.00"),
            blocked_ratio: None,
        }
    }

    #[test]
    fn a_level_begins_just_beyond_its_threshold() {
        for (available, active) in [
            ("499.99", &[Level::Critical][..]),
            ("499.999999999999999999999999", &[Level::Critical]),
            ("500.00", &[Level::Warning]),
            ("500.01", &[Level::Warning]),
            ("1999.99", &[Level::Warning]),
            ("2000.00", &[]),
            ("2000.01", &[]),
            ("9999.99", &[]),
            ("10000.00", &[]),
            ("10000.000000000000000000000001", &[Level::High]),
            ("10000.01", &[Level::High]),
            ("-0.01", &[Level::Critical]),
            ("79228162514264337593543950335", &[Level::High]),
        ] {
            assert_eq!(levels().active(&reading(available, None, None)), active, "{available}");
        }
    }

    #[test]
    fn every_configured_level_is_evaluated_and_no_other() {
        let reading = reading("499.99", Some("1"), Some("1"));

        assert_eq!(AlertLevels::default().judge(&reading), []);
        assert_eq!(
            levels().judge(&reading),
            [(Level::Critical, true), (Level::Warning, false), (Level::High, false)]
        );
        let without_critical = AlertLevels { critical: None, ..levels() };
        assert_eq!(without_critical.judge(&reading), [(Level::Warning, true), (Level::High, false)]);
        let below_zero = AlertLevels { critical: Threshold::parse("-10"), ..AlertLevels::default() };
        assert_eq!(below_zero.judge(&reading), [(Level::Critical, false)]);
    }

    #[test]
    fn a_blocked_share_is_compared_exactly() {
        let largest = "79228162514264337593543950335";
        for (ratio, blocked, total, is_active) in [
            ("0.5", Some("50.00"), Some("100.00"), false),
            ("0.5", Some("50.01"), Some("100.00"), true),
            ("0.5", Some("49.99"), Some("100.00"), false),
            ("0.5", Some("50.0000000000000000000000001"), Some("100.00"), true),
            ("0.5", Some("50"), Some("99.99999999999999999999999999"), true),
            ("0.333333333", Some("33.3333333"), Some("100"), false),
            ("0.333333333", Some("33.33333331"), Some("100"), true),
            ("1", Some(largest), Some(largest), false),
            ("0.999999999", Some(largest), Some(largest), true),
            ("0.000000001", Some(largest), Some("0.0000000000000000000000000001"), true),
            ("1", Some("0.0000000000000000000000000001"), Some(largest), false),
            ("0", Some("0.01"), Some(largest), true),
            ("0", Some("0.00"), Some("1.00"), false),
            ("0.5", Some("-60"), Some("100"), false),
            ("0.5", Some("0.01"), Some("0.00"), true),
            ("0.5", Some("0.01"), Some("-5.00"), true),
            ("0.5", Some("0.00"), Some("0.00"), false),
            ("0.5", Some("-0.01"), Some("-5.00"), false),
            ("0.5", Some("1"), None, false),
            ("0.5", None, Some("1"), false),
        ] {
            let levels = AlertLevels { blocked_ratio: Ratio::parse(ratio), ..AlertLevels::default() };

            let judged = levels.judge(&reading("0", blocked, total));

            assert_eq!(judged, [(Level::HighBlocked, is_active)], "{ratio} {blocked:?} {total:?}");
        }
    }

    #[test]
    fn a_ratio_is_from_zero_to_one_with_nine_decimals() {
        for text in ["0", "0.5", "1", "1.000", "0.123456789"] {
            assert!(Ratio::parse(text).is_some(), "{text}");
        }
        for text in ["1.000000001", "2", "-0.5", "50%", "0.1234567891", ""] {
            assert_eq!(Ratio::parse(text), None, "{text}");
        }
        for text in ["--1", "-", "1e2", ""] {
            assert_eq!(Threshold::parse(text), None, "{text}");
        }
    }
}
