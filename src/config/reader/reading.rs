//! The state of one reading: the environment, the messages so far, and the effective settings.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice};

use super::effective::{Effective, Settings};
use super::error::Remark;
use super::expiry::Expiries;
use super::purpose::Purpose;
use super::sources::{Sources, Unread};
use crate::upstream::Credential;

/// Marks a mistake that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Reported;

/// A value, or a reported mistake.
pub(in crate::config) type Read<T> = Result<T, Reported>;

/// The state that all parts of one reading share.
pub(in crate::config) struct ConfigReading<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Vec<(usize, Remark)>>,
    warnings: RefCell<Vec<(usize, Remark)>>,
    effective: RefCell<Effective>,
    sources: RefCell<Sources>,
    /// The former contents of the sources, in a reload.
    before: Option<&'a Sources>,
    /// False when a configuration is checked without the contents of files and variables.
    reads_sources: bool,
    unread: RefCell<Vec<Unread>>,
    expiries: RefCell<Expiries>,
    /// The account whose first body is recorded.
    recorded_account: Option<&'a str>,
    /// Paths below which no old secret is kept, because it would be sent to another place than before.
    moved: RefCell<BTreeSet<String>>,
}

/// The result of a reading.
pub(in crate::config) struct LoadResult {
    /// Mistakes in order of appearance.
    pub(in crate::config) mistakes: Vec<Remark>,
    /// Warnings in order of appearance.
    pub(in crate::config) warnings: Vec<Remark>,
    pub(in crate::config) effective: Effective,
    pub(in crate::config) sources: Sources,
    pub(in crate::config) unread: Vec<Unread>,
    pub(in crate::config) expiries: Expiries,
}

impl<'a> ConfigReading<'a> {
    /// Begins a reading; a reload passes the former contents of the sources.
    pub(in crate::config) fn new(env: &'a dyn Fn(&str) -> Option<String>, purpose: Purpose<'a>) -> Self {
        let (before, reads_sources) = match purpose {
            Purpose::Start | Purpose::Recording(_) => (None, true),
            Purpose::Reload(before) => (Some(before), true),
            Purpose::WithoutSecrets => (None, false),
        };
        Self {
            env,
            mistakes: RefCell::default(),
            warnings: RefCell::default(),
            effective: RefCell::default(),
            sources: RefCell::default(),
            before,
            reads_sources,
            recorded_account: match purpose {
                Purpose::Recording(account) => Some(account),
                Purpose::Start | Purpose::Reload(_) | Purpose::WithoutSecrets => None,
            },
            unread: RefCell::default(),
            expiries: RefCell::default(),
            moved: RefCell::default(),
        }
    }

    /// The account whose first body is recorded; `None` if the reading has another purpose.
    pub(in crate::config) fn recorded_account(&self) -> Option<&'a str> {
        self.recorded_account
    }

    /// Whether the contents of files and variables are read.
    pub(in crate::config) fn reads_sources(&self) -> bool {
        self.reads_sources
    }

    /// Records when the first certificate at a key expires.
    pub(in crate::config) fn note_expiry(&self, key: &str, not_after: Timestamp) {
        self.expiries.borrow_mut().insert(key.to_owned(), not_after);
    }

    /// Records the destination of the secrets below a place. If it changed since the last load, no old secret is kept.
    pub(in crate::config) fn note_destination(&self, place: &KeyPlace, part: &str, destination: String) {
        let key = format!("{}#{part}", place.path);
        let before = self.before.and_then(|before| before.destination(&key));
        if before.is_some_and(|before| *before != destination) {
            self.moved.borrow_mut().insert(format!("{}.", place.path));
        }
        self.sources.borrow_mut().note_destination(key, destination);
    }

    /// The contents of a source before this reload, if they may still be used.
    fn kept(&self, key: &str) -> Option<&'a SecretSlice<u8>> {
        let has_moved = self.moved.borrow().iter().any(|path| key.starts_with(path));
        self.before.filter(|_| !has_moved)?.get(key)
    }

    /// Ends the reading and returns its result.
    pub(in crate::config) fn into_result(self) -> LoadResult {
        let in_order = |remarks: RefCell<Vec<(usize, Remark)>>| {
            let mut remarks = remarks.into_inner();
            remarks.sort_by_key(|(at, _)| *at);
            remarks.into_iter().map(|(_, remark)| remark).collect()
        };
        LoadResult {
            mistakes: in_order(self.mistakes),
            warnings: in_order(self.warnings),
            effective: self.effective.into_inner(),
            sources: self.sources.into_inner(),
            unread: self.unread.into_inner(),
            expiries: self.expiries.into_inner(),
        }
    }

    /// The contents of the sources so far.
    pub(in crate::config) fn sources(&self) -> RefMut<'_, Sources> {
        self.sources.borrow_mut()
    }

    /// Handles an invalid source: a mistake at start. In a reload it keeps its old contents, and a new account waits.
    pub(in crate::config) fn unread(
        &self,
        place: &KeyPlace,
        file: Option<&Path>,
        problem: &str,
    ) -> Read<Vec<u8>> {
        let note = |instead: &str| {
            let problem = format!("{problem}; {instead}");
            let unread = Unread { key: place.path.clone(), file: file.map(Path::to_owned), problem };
            self.unread.borrow_mut().push(unread);
        };
        if self.before.is_none() {
            return Err(self.report(place, problem));
        }
        if let Some(kept) = self.kept(&place.path) {
            note("the old contents stay in use");
            return Ok(kept.expose_secret().to_vec());
        }
        let Some(account) = place.account() else { return Err(self.report(place, problem)) };
        note(match self.credential_before(account) {
            Some(_) => "the account's old credential is kept until it can be read",
            None => "the account is switched off until it can be read",
        });
        Err(Reported)
    }

    /// The credential of an account before this reload.
    pub(in crate::config) fn credential_before(&self, account: &str) -> Option<&'a Credential> {
        let has_moved = self.moved.borrow().contains(&format!("accounts.{account}."));
        self.before.filter(|_| !has_moved)?.credential(account)
    }

    /// Whether this is the first load, not a reload.
    pub(in crate::config) fn is_first(&self) -> bool {
        self.before.is_none()
    }

    /// The contents of a source before this reload.
    pub(in crate::config) fn before(&self, place: &KeyPlace) -> Option<&'a SecretSlice<u8>> {
        self.kept(&place.path)
    }

    /// Whether a source below this place is not readable yet.
    pub(super) fn is_awaited(&self, place: &KeyPlace) -> bool {
        let inside = format!("{}.", place.path);
        let unread = self.unread.borrow();
        unread.iter().any(|unread| unread.key.starts_with(&inside) && self.kept(&unread.key).is_none())
    }

    /// Looks up an environment variable.
    pub(in crate::config) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Reports a mistake.
    pub(in crate::config) fn report(&self, place: &KeyPlace, text: &str) -> Reported {
        self.mistakes.borrow_mut().push((place.at, Remark::new(place.path.clone(), text.to_owned())));
        Reported
    }

    /// Reports a warning.
    pub(in crate::config) fn warn(&self, place: &KeyPlace, text: &str) {
        self.warnings.borrow_mut().push((place.at, Remark::new(place.path.clone(), text.to_owned())));
    }

    /// Records the effective settings of a section.
    pub(in crate::config) fn record(&self, place: &KeyPlace, settings: Settings) {
        self.effective.borrow_mut().record(&place.path, settings);
    }
}

/// A key path and its position in the text.
#[derive(Clone)]
pub(in crate::config) struct KeyPlace {
    pub(in crate::config) path: String,
    pub(in crate::config) at: usize,
}

impl KeyPlace {
    /// The account of this path, if it has one.
    fn account(&self) -> Option<&str> {
        self.path.strip_prefix("accounts.")?.split('.').next()
    }

    /// The path of a key below this place, in TOML syntax with quotes where needed. `""` is this place.
    pub(in crate::config) fn join(&self, key: &str) -> String {
        let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let key = if is_bare { key.to_owned() } else { format!("\"{}\"", key.escape_debug()) };
        let separator = if self.path.is_empty() || key.is_empty() { "" } else { "." };
        [&self.path, separator, &key].concat()
    }
}
