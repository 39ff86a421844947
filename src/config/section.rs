//! Walks the TOML tables key by key, so that every mistake has its exact path and none hides the next.
//!
//! What is read is also noted as effective text in the same step: the two cannot differ.

use std::cell::RefMut;
use std::path::Path;

use secrecy::{ExposeSecret, SecretSlice};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::found;
use super::reading::{Place, Read, Reading, Reported};
use super::source::Sources;
use crate::upstream::Credential;

/// What one key holds.
pub(super) trait Setting: Sized {
    /// Completes "expected …".
    const EXPECTED: &'static str;

    /// Reads the value, or reports why it cannot.
    fn read(value: &Value<'_>) -> Read<Self>;

    /// The value as TOML, masked if it is a secret.
    fn show(&self) -> String;
}

/// One value and its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    place: Place,
    toml: &'a DeValue<'a>,
    reading: &'a Reading<'a>,
}

impl<'a> Value<'a> {
    /// Reports a mistake.
    pub(super) fn wrong(&self, text: &str) -> Reported {
        self.reading.report(&self.place, text)
    }

    /// Reports what is legal but unwise.
    pub(super) fn warn(&self, text: &str) {
        self.reading.warn(&self.place, text);
    }

    /// Looks up an environment variable.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        self.reading.env(name)
    }

    /// Whether the contents of files and variables are read.
    pub(super) fn reads_sources(&self) -> bool {
        self.reading.reads_sources()
    }

    /// What the sources held, to add to.
    pub(super) fn sources(&self) -> RefMut<'_, Sources> {
        self.reading.sources()
    }

    /// Notes that a source is not understood: a mistake at start; in a reload, what it held until now is returned.
    pub(super) fn unread(&self, file: Option<&Path>, problem: &str) -> Read<Vec<u8>> {
        self.reading.unread(&self.place, file, problem)
    }

    /// Its key path.
    pub(super) fn path(&self) -> &str {
        &self.place.path
    }

    /// The value itself.
    pub(super) fn toml(&self) -> &'a DeValue<'a> {
        self.toml
    }

    /// Reports that something else stands here than what is expected, and names it.
    pub(super) fn expected(&self, expected: &str) -> Reported {
        self.wrong(&format!("expected {expected}, not {}", found::shown(self.toml)))
    }

    /// Likewise where a secret may stand by mistake: only the form of what was found is named.
    pub(super) fn expected_hiding(&self, expected: &str) -> Reported {
        self.wrong(&format!("expected {expected}, not {}", found::form(self.toml)))
    }

    /// Reads a text that `parse` understands.
    pub(super) fn text<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Read<T> {
        let text = if let DeValue::String(text) = self.toml { parse(text) } else { None };
        text.ok_or_else(|| self.expected(expected))
    }

    /// Reads an inline table.
    pub(super) fn section(&self, expected: &str) -> Read<Section<'a>> {
        let DeValue::Table(table) = self.toml else { return Err(self.expected_hiding(expected)) };
        Ok(Section::new(self.place.clone(), Some(table), self.reading))
    }

    /// Reads a list.
    pub(super) fn items(&self, expected: &str) -> Read<Vec<Value<'a>>> {
        let DeValue::Array(items) = self.toml else { return Err(self.expected_hiding(expected)) };
        let item = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{index}]", self.place.path);
            let place = Place { path, at: item.span().start };
            Value { place, toml: item.get_ref(), reading: self.reading }
        };
        Ok(items.iter().enumerate().map(item).collect())
    }
}

/// One table, of which every key that is known gets asked for.
pub(super) struct Section<'a> {
    place: Place,
    /// `None` when it was left out: everything has its default then.
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    shown: Vec<(&'static str, Option<String>)>,
    reading: &'a Reading<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a DeTable<'a>, reading: &'a Reading<'a>) -> Self {
        Self::new(Place { path: String::new(), at: 0 }, Some(table), reading)
    }

    fn new(place: Place, table: Option<&'a DeTable<'a>>, reading: &'a Reading<'a>) -> Self {
        Self { place, table, known: Vec::new(), shown: Vec::new(), reading }
    }

    /// Whether the key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// What the key holds, if it is written.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (_, value) = self.table?.get_key_value(key)?;
        Some(Value { place: self.place_of(key), toml: value.get_ref(), reading: self.reading })
    }

    /// Reads a key that may be left out.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Read<Option<T>> {
        let value = self.value(key).map(|value| T::read(&value)).transpose()?;
        self.shown.push((key, value.as_ref().map(T::show)));
        Ok(value)
    }

    /// Reads a key that has a default.
    pub(super) fn or<T: Setting>(&mut self, key: &'static str, default: T) -> Read<T> {
        let value = self.optional(key)?.unwrap_or(default);
        self.show(key, &value);
        Ok(value)
    }

    /// Reads a key that must be written.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str) -> Read<T> {
        let value = self.optional(key)?;
        value.ok_or_else(|| self.wrong(key, &format!("missing, expected {}", T::EXPECTED)))
    }

    /// Shows this as the key's effective value.
    pub(super) fn show(&mut self, key: &'static str, value: &impl Setting) {
        self.show_text(key, value.show());
    }

    /// Shows this text as the key's effective value.
    pub(super) fn show_text(&mut self, key: &'static str, text: String) {
        let shown = Some(text);
        match self.shown.iter_mut().find(|(name, _)| *name == key) {
            Some(line) => line.1 = shown,
            None => self.shown.push((key, shown)),
        }
    }

    /// Keeps what is not set out of the effective text.
    pub(super) fn hide_unset(&mut self) {
        self.shown.retain(|(_, value)| value.is_some());
    }

    /// Opens a table that may be left out.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let opened = self.value(key).and_then(|value| value.section(&format!("a table, [{key}]")).ok());
        opened.unwrap_or_else(|| Section::new(self.place_of(key), None, self.reading))
    }

    /// Opens every table of a section that must be there, in order of appearance.
    pub(super) fn tables(&mut self, key: &'static str) -> Read<Vec<(&'a str, Section<'a>)>> {
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

    /// Every entry of a table whose keys are free, in order of appearance.
    pub(super) fn entries(self) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self.table.into_iter().flatten().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let entry = |(name, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a str = AsRef::<str>::as_ref(name.get_ref());
            (name, Value { place: self.place_of(name), toml: value.get_ref(), reading: self.reading })
        };
        entries.into_iter().map(entry).collect()
    }

    /// Whether nothing was read before: in a reload, what does not go together may be on its way.
    pub(super) fn is_at_start(&self) -> bool {
        self.reading.is_first()
    }

    /// Whether the contents of files and variables are read.
    pub(super) fn reads_sources(&self) -> bool {
        self.reading.reads_sources()
    }

    /// Notes one part of where the secrets of this section go. When it has changed in a reload, none of them is kept.
    pub(super) fn note_destination(&self, part: &str, destination: String) {
        self.reading.note_destination(&self.place, part, destination);
    }

    /// Whether a secret of this section is not there yet, in a reload.
    pub(super) fn awaits_secret(&self) -> bool {
        self.reading.is_awaited(&self.place)
    }

    /// What an account authenticated with before this reload.
    pub(super) fn credential_before(&self, account: &str) -> Option<&'a Credential> {
        self.reading.credential_before(account)
    }

    /// Notes what an account authenticates with.
    pub(super) fn keep_credential(&self, account: &str, credential: &Credential) {
        self.reading.sources().keep_credential(account, credential.clone());
    }

    /// Notes that a source is not understood together with others: a mistake at start.
    pub(super) fn unread(&self, key: &str, file: &Path, problem: &str) -> Read<()> {
        self.reading.unread(&self.place_of(key), Some(file), problem).map(drop)
    }

    /// What a source held before this reload, from now on again; what it holds now if it is new.
    pub(super) fn keep_old(&self, key: &str, new: &[u8]) -> SecretSlice<u8> {
        let place = self.place_of(key);
        let kept = self.reading.before(&place).map_or(new, ExposeSecret::expose_secret);
        self.reading.sources().keep(&place.path, kept.to_vec());
        kept.to_vec().into()
    }

    /// Reports a mistake at a key, written or not; `""` is the section itself.
    pub(super) fn wrong(&self, key: &str, text: &str) -> Reported {
        self.reading.report(&self.place_of(key), text)
    }

    /// Reports that something else stands at a key than what is expected, and names it.
    pub(super) fn expected(&self, key: &str, expected: &str) -> Reported {
        let found = self.table.and_then(|table| table.get(key)).map(|value| found::shown(value.get_ref()));
        let found = found.map(|found| format!(", not {found}")).unwrap_or_default();
        self.wrong(key, &format!("expected {expected}{found}"))
    }

    /// Reports at a key what is legal but unwise.
    pub(super) fn warn(&self, key: &str, text: &str) {
        self.reading.warn(&self.place_of(key), text);
    }

    /// What has been read of an inline table so far, as one.
    pub(super) fn inline(&self) -> String {
        let keys = self.shown.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?)));
        format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
    }

    /// Reports what is written but not known.
    pub(super) fn close(self) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let key: &str = key.get_ref();
            if !self.known.contains(&key) {
                let known = self.known.join(", ");
                let expected = if known.is_empty() { "" } else { ", expected one of " };
                self.wrong(key, &format!("unknown key{expected}{known}"));
            }
        }
    }

    /// As [`Section::close`], and notes the section's effective text.
    pub(super) fn close_and_show(self) {
        self.reading.show(&self.place, &self.shown);
        self.close();
    }

    fn place_of(&self, key: &str) -> Place {
        let written = self.table.and_then(|table| table.get_key_value(key));
        Place { path: self.place.join(key), at: written.map_or(self.place.at, |(key, _)| key.span().start) }
    }
}
