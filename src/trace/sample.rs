//! The sampled share of requests without a parent span.

/// More digits have no effect: the share is compared with 64 random bits.
const MOST_DIGITS: usize = 18;

/// A share from 0 to 1, as text and as an upper bound of 64-bit random numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    text: String,
    /// 2⁶⁴ times the share.
    bound: u128,
}

impl Default for Sample {
    /// One in a hundred.
    fn default() -> Self {
        Self { text: "0.01".to_owned(), bound: (1 << u64::BITS) / 100 }
    }
}

impl Sample {
    /// Reads a plain decimal number from 0 to 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
        if !matches!(whole, "0" | "1") || !are_digits || !(1..=MOST_DIGITS).contains(&fraction.len()) {
            return None;
        }
        let one = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let share = whole.parse::<u128>().ok()? * one + fraction.parse::<u128>().ok()?;
        (share <= one).then(|| Self { text: text.to_owned(), bound: (share << u64::BITS) / one })
    }

    /// The number as written in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a trace is sampled, decided by the random bits of its id.
    pub(super) fn takes(&self, trace_id: u128) -> bool {
        trace_id & u128::from(u64::MAX) < self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_decimal_number_from_0_to_1() {
        for text in ["0", "1", "0.0", "0.01", "0.5", "1.0", "1.000", "0.000000000000000001"] {
            assert_eq!(Sample::parse(text).unwrap().as_str(), text);
        }
        for text in
            ["", "2", "1.01", "-0", "+1", ".5", "1.", "0,5", "1e-2", " 0", "0.0000000000000000001", "00"]
        {
            assert_eq!(Sample::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_share_samples_that_share_of_the_ids() {
        let takes = |text, id: u64| Sample::parse(text).unwrap().takes(u128::from(id) + (1 << 100));

        assert_eq!(Sample::parse("0.01"), Some(Sample::default()));
        assert!(!takes("0", 0));
        assert!(takes("1", u64::MAX));
        assert!(takes("0.25", (1 << 62) - 1));
        assert!(!takes("0.25", 1 << 62));
    }
}
