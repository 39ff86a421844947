//! Durations with units: `"250ms"`, `"10s"`, `"1m30s"`.

use std::time::Duration;

use crate::config::reader::{Read, Setting, Value, quoted};

/// The longest duration, in milliseconds: longer than any sensible one, and short enough that adding it to a clock
/// cannot overflow.
const LONGEST_MS: u64 = 365 * 24 * 60 * 60 * 1000;
/// The units and their milliseconds, largest first.
const UNITS: [(&str, u64); 4] = [("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// A duration that may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct DurationOrZero(pub(in crate::config) Duration);

impl Setting for DurationOrZero {
    const EXPECTED: &'static str = "a duration with its unit, such as \"250ms\", \"10s\" or \"1m30s\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| parse(text).map(Self))
    }

    fn show(&self) -> String {
        quoted(&format(self.0))
    }
}

/// An interval that is long enough to cause little load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Interval(pub(in crate::config) Duration);

impl Setting for Interval {
    const EXPECTED: &'static str = "a duration of at least \"1s\" with its unit";

    fn read(value: &Value<'_>) -> Read<Self> {
        let is_long_enough = |duration: &Duration| *duration >= Duration::from_secs(1);
        value.text(Self::EXPECTED, |text| parse(text).filter(is_long_enough).map(Self))
    }

    fn show(&self) -> String {
        quoted(&format(self.0))
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str =
        "a duration above zero with its unit, such as \"250ms\", \"10s\" or \"1m30s\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| parse(text).filter(|duration| !duration.is_zero()))
    }

    fn show(&self) -> String {
        quoted(&format(*self))
    }
}

/// Parses numbers with units, larger units first, each at most once.
pub(in crate::config) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let unit = &rest[digits..digits + letters];
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*milliseconds)?)?;
        rest = &rest[digits + letters..];
        if rest.is_empty() {
            return (total <= LONGEST_MS).then(|| Duration::from_millis(total));
        }
    }
}

/// The shortest exact text with one unit.
pub(in crate::config) fn format(duration: Duration) -> String {
    let total = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, milliseconds): &&(&str, u64)| total.is_multiple_of(*milliseconds);
    let (unit, milliseconds) = UNITS.iter().find(fits).filter(|_| total > 0).unwrap_or(&("s", 1000));
    format!("{}{unit}", total / milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_parsed_and_shown() {
        for (text, milliseconds, shown) in [
            ("250ms", 250, "250ms"),
            ("2500ms", 2500, "2500ms"),
            ("10s", 10_000, "10s"),
            ("60s", 60_000, "1m"),
            ("1m30s", 90_000, "90s"),
            ("1h1m1s1ms", 3_661_001, "3661001ms"),
            ("0s", 0, "0s"),
            ("8760h", LONGEST_MS, "8760h"),
        ] {
            let duration = parse(text).unwrap();

            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(format(duration), shown, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10",
            "s",
            "10 s",
            " 10s",
            "10S",
            "1.5s",
            "-1s",
            "+1s",
            "1s1m",
            "1s1s",
            "1d",
            "10sec",
            "8761h",
            "99999999999999999999h",
            "9999999999999999h",
            "1é",
            "1m30",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
