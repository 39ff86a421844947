//! The effective settings of every section, to compare two configurations and to show one.

use std::collections::BTreeMap;
use std::fmt;

/// Each section's settings, in the order of reading.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Effective(Vec<(String, Settings)>);

/// The settings of one section, in the order of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Settings(pub(in crate::config) Vec<(&'static str, Option<String>)>);

impl Effective {
    /// Records the settings of one section.
    pub(in crate::config) fn record(&mut self, section: &str, settings: Settings) {
        self.0.push((section.to_owned(), settings));
    }

    /// The settings of each section, by its name.
    pub(in crate::config) fn by_section(&self) -> BTreeMap<&str, &Settings> {
        self.0.iter().map(|(section, settings)| (section.as_str(), settings)).collect()
    }
}

/// As TOML, each secret as `***`.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (section, Settings(settings))) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{section}]")?;
            for (key, value) in settings {
                match value {
                    Some(value) => writeln!(f, "{key} = {value}")?,
                    None => writeln!(f, "# {key}: not set")?,
                }
            }
        }
        Ok(())
    }
}

/// A text as TOML; TOML accepts JSON's escapes.
pub(in crate::config) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
