//! `alerts` of a balance: its alert levels.

use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::domain::{AlertLevels, Ratio, Threshold};
use crate::providers::Provider;

const EXPECTED: &str = "{ critical = \"500.00\", warning = \"2000.00\", high = \"10000.00\" }, each optional";

impl Setting for Threshold {
    const EXPECTED: &'static str = "an amount in quotes, such as \"500.00\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Setting for Ratio {
    const EXPECTED: &'static str = "a number from \"0\" to \"1\" in quotes, with at most nine decimals";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// Reads the levels from the section of an account, or of one of its balances.
pub(in crate::config) fn read(section: &mut Section<'_>, adapter: Read<&dyn Provider>) -> Read<AlertLevels> {
    let Some(value) = section.value("alerts") else { return Ok(AlertLevels::default()) };
    let mut alerts = value.section(EXPECTED)?;
    let critical = alerts.optional("critical");
    let warning = alerts.optional("warning");
    let high = alerts.optional("high");
    let without_total = adapter.ok().filter(|adapter| !adapter.reports_total());
    let blocked_ratio = match (alerts.value("blocked_ratio"), without_total) {
        (Some(ratio), Some(adapter)) => {
            Err(ratio.wrong(&format!("not for the kind {}, which reports no total", adapter.kind())))
        }
        (ratio, _) => ratio.map(|ratio| Ratio::read(&ratio)).transpose(),
    };
    alerts.close();
    let levels =
        AlertLevels { critical: critical?, warning: warning?, high: high?, blocked_ratio: blocked_ratio? };
    if let Some(text) = show(&levels) {
        section.show_text("alerts", text);
    }
    Ok(levels)
}

/// The configured levels as a table; `None` without any.
pub(in crate::config) fn show(levels: &AlertLevels) -> Option<String> {
    let AlertLevels { critical, warning, high, blocked_ratio } = levels;
    let amounts = [("critical", critical), ("warning", warning), ("high", high)];
    let amounts = amounts.map(|(key, level)| level.map(|level| format!("{key} = {}", level.show())));
    let ratio = blocked_ratio.map(|ratio| format!("blocked_ratio = {}", ratio.show()));
    let parts: Vec<String> = amounts.into_iter().chain([ratio]).flatten().collect();
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}
