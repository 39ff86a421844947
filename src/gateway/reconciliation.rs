//! Findings of the reconciliation report about one balance.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::domain::{AlertLevels, Level, Percentage, Reading};

/// The findings about one balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether any amount is available.
    pub status: FindingStatus,
    /// 100 × blocked / total; `None` without a total above zero.
    pub blocked_percentage: Option<Percentage>,
    /// The alert levels that it has reached, the most urgent first.
    pub alerts: Vec<Level>,
}

/// Whether any amount is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingStatus {
    /// Available is above zero.
    Ok,
    /// Available is zero or negative.
    Alert,
}

impl FindingStatus {
    /// The shown text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alert => "ALERT",
        }
    }
}

impl Serialize for FindingStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Finding {
    /// Evaluates a balance.
    #[must_use]
    pub fn of(reading: &Reading, levels: &AlertLevels) -> Self {
        let is_spendable = reading.available.value() > Decimal::ZERO;
        Self {
            status: if is_spendable { FindingStatus::Ok } else { FindingStatus::Alert },
            blocked_percentage: reading
                .blocked
                .zip(reading.total)
                .and_then(|(blocked, total)| Percentage::of(blocked, total)),
            alerts: levels.active(reading),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Amount, Currency, ObservedAt, Threshold};

    fn found(available: &str, blocked: Option<&str>, total: Option<&str>) -> String {
        let brl = |text: &str| Amount::parse(text, Currency::BRL).unwrap();
        let reading = Reading {
            available: brl(available),
            blocked: blocked.map(brl),
            reserved: None,
            processing: None,
            total: total.map(brl),
            reported: Vec::new(),
            observed_at: ObservedAt::Undocumented,
        };
        let levels = AlertLevels { critical: Threshold::parse("1.00"), ..AlertLevels::default() };
        serde_json::to_string(&Finding::of(&reading, &levels)).unwrap()
    }

    #[test]
    fn zero_available_is_an_alert_and_a_percentage_needs_a_total() {
        for (available, blocked, total, expected) in [
            ("0.01", None, None, r#"{"status":"OK","blocked_percentage":null,"alerts":["critical"]}"#),
            (
                "0.00",
                Some("5"),
                None,
                r#"{"status":"ALERT","blocked_percentage":null,"alerts":["critical"]}"#,
            ),
            (
                "-1",
                Some("5"),
                Some("4"),
                r#"{"status":"ALERT","blocked_percentage":"125.00","alerts":["critical"]}"#,
            ),
            ("2", Some("1"), Some("3"), r#"{"status":"OK","blocked_percentage":"33.33","alerts":[]}"#),
            ("2", Some("1"), Some("0"), r#"{"status":"OK","blocked_percentage":null,"alerts":[]}"#),
        ] {
            assert_eq!(found(available, blocked, total), expected);
        }
    }
}
