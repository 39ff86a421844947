//! `[log]`: level and request lines.

use crate::config::reader::{Read, Section, Setting, Value, quoted};

/// The log settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Less urgent events are not logged.
    pub level: Level,
    /// One line per request, at every level.
    pub requests: bool,
}

/// The least urgency of logged events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Failures.
    Error,
    /// Events that need attention.
    Warn,
    /// Normal events.
    Info,
    /// All events.
    Debug,
}

impl Level {
    const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Setting for Level {
    const EXPECTED: &'static str = "one of error, warn, info, debug";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Self::ALL.into_iter().find(|level| level.as_str() == text))
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

pub(in crate::config) fn read(mut section: Section<'_>) -> Read<LogSettings> {
    let level = section.or("level", Level::Info);
    let requests = section.or("requests", false);
    section.close_and_record();
    Ok(LogSettings { level: level?, requests: requests? })
}
