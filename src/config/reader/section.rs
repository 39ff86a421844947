//! Reads TOML tables key by key, so that every mistake has its exact path and hides no other.
//!
//! Reading a key also records its effective value, so the two cannot differ.

use std::path::Path;

use secrecy::{ExposeSecret, SecretSlice};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::Settings;
use super::found;
use super::reading::{ConfigReading, KeyPlace, Read, Reported};
use super::setting::Setting;
use super::value::Value;
use crate::upstream::Credential;

/// One table. Every known key must be read before it is closed.
pub(in crate::config) struct Section<'a> {
    place: KeyPlace,
    /// `None` for a missing table: every key has its default then.
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    effective: Settings,
    reading: &'a ConfigReading<'a>,
}

impl<'a> Section<'a> {
    pub(in crate::config) fn root(table: &'a DeTable<'a>, reading: &'a ConfigReading<'a>) -> Self {
        Self::new(KeyPlace { path: String::new(), at: 0 }, Some(table), reading)
    }

    fn new(place: KeyPlace, table: Option<&'a DeTable<'a>>, reading: &'a ConfigReading<'a>) -> Self {
        Self { place, table, known: Vec::new(), effective: Settings(Vec::new()), reading }
    }

    /// Whether the key is present.
    pub(in crate::config) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The value of the key, if present.
    pub(in crate::config) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (_, value) = self.table?.get_key_value(key)?;
        Some(Value { place: self.place_of(key), toml: value.get_ref(), reading: self.reading })
    }

    /// Reads an optional key.
    pub(in crate::config) fn optional<T: Setting>(&mut self, key: &'static str) -> Read<Option<T>> {
        let value = self.value(key).map(|value| T::read(&value)).transpose()?;
        self.effective.0.push((key, value.as_ref().map(T::show)));
        Ok(value)
    }

    /// Reads a key with a default.
    pub(in crate::config) fn or<T: Setting>(&mut self, key: &'static str, default: T) -> Read<T> {
        let value = self.optional(key)?.unwrap_or(default);
        self.show(key, &value);
        Ok(value)
    }

    /// Reads a required key.
    pub(in crate::config) fn required<T: Setting>(&mut self, key: &'static str) -> Read<T> {
        let value = self.optional(key)?;
        value.ok_or_else(|| self.wrong(key, &format!("missing, expected {}", T::EXPECTED)))
    }

    /// Records this as the key's effective value.
    pub(in crate::config) fn show(&mut self, key: &'static str, value: &impl Setting) {
        self.show_text(key, value.show());
    }

    /// Records this text as the key's effective value.
    pub(in crate::config) fn show_text(&mut self, key: &'static str, text: String) {
        let shown = Some(text);
        match self.effective.0.iter_mut().find(|(name, _)| *name == key) {
            Some(line) => line.1 = shown,
            None => self.effective.0.push((key, shown)),
        }
    }

    /// Omits unset keys from the effective text.
    pub(in crate::config) fn hide_unset(&mut self) {
        self.effective.0.retain(|(_, value)| value.is_some());
    }

    /// Opens an optional table.
    pub(in crate::config) fn section(&mut self, key: &'static str) -> Section<'a> {
        let opened = self.value(key).and_then(|value| value.section(&format!("a table, [{key}]")).ok());
        opened.unwrap_or_else(|| Section::new(self.place_of(key), None, self.reading))
    }

    /// Opens every table of a required section, in order of appearance.
    pub(in crate::config) fn tables(&mut self, key: &'static str) -> Read<Vec<(&'a str, Section<'a>)>> {
        let expected = format!("tables of the form [{key}.NAME]");
        let value =
            self.value(key).ok_or_else(|| self.wrong(key, &format!("missing, expected {expected}")))?;
        let outer = value.section(&expected)?;
        let mut inner: Vec<_> = outer.table.into_iter().flatten().collect();
        inner.sort_by_key(|(name, _)| name.span().start);
        let opened = inner.into_iter().filter_map(|(name, value)| {
            let name: &str = name.get_ref();
            let value = Value { place: outer.place_of(name), toml: value.get_ref(), reading: self.reading };
            Some((name, value.section(&format!("a table, [{key}.NAME]")).ok()?))
        });
        Ok(opened.collect())
    }

    /// Every entry of a table with free keys, in order of appearance.
    pub(in crate::config) fn entries(self) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self.table.into_iter().flatten().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let entry = |(name, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a str = AsRef::<str>::as_ref(name.get_ref());
            (name, Value { place: self.place_of(name), toml: value.get_ref(), reading: self.reading })
        };
        entries.into_iter().map(entry).collect()
    }

    /// The account whose first body is recorded; `None` if the reading has another purpose.
    pub(in crate::config) fn recorded_account(&self) -> Option<&'a str> {
        self.reading.recorded_account()
    }

    /// Whether this is the first load. In a reload, files that do not match may still be changing.
    pub(in crate::config) fn is_at_start(&self) -> bool {
        self.reading.is_first()
    }

    /// Whether the contents of files and variables are read.
    pub(in crate::config) fn reads_sources(&self) -> bool {
        self.reading.reads_sources()
    }

    /// Records one part of the destination of this section's secrets. If it changed in a reload, no old secret is kept.
    pub(in crate::config) fn note_destination(&self, part: &str, destination: String) {
        self.reading.note_destination(&self.place, part, destination);
    }

    /// Whether a secret of this section is not readable yet, in a reload.
    pub(in crate::config) fn awaits_secret(&self) -> bool {
        self.reading.is_awaited(&self.place)
    }

    /// The credential of an account before this reload.
    pub(in crate::config) fn credential_before(&self, account: &str) -> Option<&'a Credential> {
        self.reading.credential_before(account)
    }

    /// Records the credential of an account.
    pub(in crate::config) fn keep_credential(&self, account: &str, credential: &Credential) {
        self.reading.sources().keep_credential(account, credential.clone());
    }

    /// Reports sources that do not match each other: a mistake at start.
    pub(in crate::config) fn unread(&self, key: &str, file: &Path, problem: &str) -> Read<()> {
        self.reading.unread(&self.place_of(key), Some(file), problem).map(drop)
    }

    /// Restores the contents of a source from before this reload, and returns them; for a new source, its current ones.
    pub(in crate::config) fn keep_old(&self, key: &str, new: &[u8]) -> SecretSlice<u8> {
        let place = self.place_of(key);
        let kept = self.reading.before(&place).map_or(new, ExposeSecret::expose_secret);
        self.reading.sources().keep(&place.path, kept.to_vec());
        kept.to_vec().into()
    }

    /// Reports a mistake at a key, present or not; `""` is the section itself.
    pub(in crate::config) fn wrong(&self, key: &str, text: &str) -> Reported {
        self.reading.report(&self.place_of(key), text)
    }

    /// Reports an unexpected value of a key, and shows the value.
    pub(in crate::config) fn expected(&self, key: &str, expected: &str) -> Reported {
        let found = self.table.and_then(|table| table.get(key)).map(|value| found::shown(value.get_ref()));
        let found = found.map(|found| format!(", not {found}")).unwrap_or_default();
        self.wrong(key, &format!("expected {expected}{found}"))
    }

    /// Reports a warning at a key.
    pub(in crate::config) fn warn(&self, key: &str, text: &str) {
        self.reading.warn(&self.place_of(key), text);
    }

    /// The keys read so far, as an inline table.
    pub(in crate::config) fn inline(&self) -> String {
        let keys =
            self.effective.0.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?)));
        format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
    }

    /// Reports unknown keys.
    pub(in crate::config) fn close(self) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let key: &str = key.get_ref();
            if !self.known.contains(&key) {
                let known = self.known.join(", ");
                let expected = if known.is_empty() { "" } else { ", expected one of " };
                self.wrong(key, &format!("unknown key{expected}{known}"));
            }
        }
    }

    /// As [`Section::close`], and records the section's effective settings.
    pub(in crate::config) fn close_and_record(mut self) {
        let effective = std::mem::replace(&mut self.effective, Settings(Vec::new()));
        self.reading.record(&self.place, effective);
        self.close();
    }

    fn place_of(&self, key: &str) -> KeyPlace {
        let written = self.table.and_then(|table| table.get_key_value(key));
        KeyPlace {
            path: self.place.join(key),
            at: written.map_or(self.place.at, |(key, _)| key.span().start),
        }
    }
}

impl<'a> Value<'a> {
    /// Reads an inline table.
    pub(in crate::config) fn section(&self, expected: &str) -> Read<Section<'a>> {
        let DeValue::Table(table) = self.toml else { return Err(self.expected_hiding(expected)) };
        Ok(Section::new(self.place.clone(), Some(table), self.reading))
    }

    /// Reads a list.
    pub(in crate::config) fn items(&self, expected: &str) -> Read<Vec<Value<'a>>> {
        let DeValue::Array(items) = self.toml else { return Err(self.expected_hiding(expected)) };
        let item = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{index}]", self.place.path);
            let place = KeyPlace { path, at: item.span().start };
            Value { place, toml: item.get_ref(), reading: self.reading }
        };
        Ok(items.iter().enumerate().map(item).collect())
    }
}
