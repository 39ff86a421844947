//! One value of the TOML text, and the messages about it.

use std::cell::RefMut;
use std::path::Path;

use jiff::Timestamp;
use toml::de::DeValue;

use super::found;
use super::reading::{ConfigReading, KeyPlace, Read, Reported};
use super::sources::Sources;

/// One value and its place.
#[derive(Clone)]
pub(in crate::config) struct Value<'a> {
    pub(in crate::config) place: KeyPlace,
    pub(in crate::config) toml: &'a DeValue<'a>,
    pub(in crate::config) reading: &'a ConfigReading<'a>,
}

impl<'a> Value<'a> {
    /// Reports a mistake.
    pub(in crate::config) fn wrong(&self, text: &str) -> Reported {
        self.reading.report(&self.place, text)
    }

    /// Reports a warning.
    pub(in crate::config) fn warn(&self, text: &str) {
        self.reading.warn(&self.place, text);
    }

    /// Looks up an environment variable.
    pub(in crate::config) fn env(&self, name: &str) -> Option<String> {
        self.reading.env(name)
    }

    /// Records when the first certificate here expires.
    pub(in crate::config) fn note_expiry(&self, not_after: Timestamp) {
        self.reading.note_expiry(&self.place.path, not_after);
    }

    /// Whether the contents of files and variables are read.
    pub(in crate::config) fn reads_sources(&self) -> bool {
        self.reading.reads_sources()
    }

    /// The contents of the sources so far.
    pub(in crate::config) fn sources(&self) -> RefMut<'_, Sources> {
        self.reading.sources()
    }

    /// Reports an invalid source: a mistake at start. In a reload, its old contents are returned.
    pub(in crate::config) fn unread(&self, file: Option<&Path>, problem: &str) -> Read<Vec<u8>> {
        self.reading.unread(&self.place, file, problem)
    }

    /// Its key path.
    pub(in crate::config) fn path(&self) -> &str {
        &self.place.path
    }

    /// The value itself.
    pub(in crate::config) fn toml(&self) -> &'a DeValue<'a> {
        self.toml
    }

    /// Reports an unexpected value, and shows it.
    pub(in crate::config) fn expected(&self, expected: &str) -> Reported {
        self.wrong(&format!("expected {expected}, not {}", found::shown(self.toml)))
    }

    /// Reports an unexpected value that may be a secret, and shows only its type.
    pub(in crate::config) fn expected_hiding(&self, expected: &str) -> Reported {
        self.wrong(&format!("expected {expected}, not {}", found::form(self.toml)))
    }

    /// Reports an empty list.
    pub(in crate::config) fn empty(&self, expected: &str) -> Reported {
        self.wrong(&format!("expected at least one, {expected}, not an empty list"))
    }

    /// Reads a text with `parse`.
    pub(in crate::config) fn text<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Read<T> {
        let text = if let DeValue::String(text) = self.toml { parse(text) } else { None };
        text.ok_or_else(|| self.expected(expected))
    }
}
