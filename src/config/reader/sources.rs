//! The contents of secrets, certificates and CAs as the last reading found them.
//!
//! In a reload, an unreadable source keeps its old contents, because a file that is being replaced must not disable an
//! account.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretSlice};

use crate::domain::is_out_of_files;
use crate::upstream::Credential;

/// The last valid contents of every source by its key, the credential of each account, and every named file.
#[derive(Debug, Default)]
pub(in crate::config) struct Sources {
    contents: BTreeMap<String, SecretSlice<u8>>,
    credentials: BTreeMap<String, Credential>,
    /// The destinations of each section's secrets, with our client's identity.
    destinations: BTreeMap<String, String>,
    files: BTreeSet<PathBuf>,
    /// Whether a file was not read because the process is out of file descriptors.
    is_incomplete: bool,
}

/// A source that was invalid in a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The key that names the source.
    pub key: String,
    /// The file, unless it is a variable.
    pub file: Option<PathBuf>,
    /// The problem, and what happens instead.
    pub problem: String,
}

impl Sources {
    /// Every named file, readable or not.
    pub(in crate::config) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// The contents of the sources in this section.
    pub(in crate::config) fn of_section<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let inside = move |key: &str| {
            key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let from_section = self.contents.range::<str, _>((Bound::Included(section), Bound::Unbounded));
        let contents = from_section
            .take_while(move |(key, _)| key.starts_with(section))
            .filter(move |(key, _)| inside(key));
        contents.map(|(key, contents)| (key.as_str(), contents.expose_secret()))
    }

    pub(in crate::config) fn get(&self, key: &str) -> Option<&SecretSlice<u8>> {
        self.contents.get(key)
    }

    /// Reads a file. The lack of a file descriptor makes the whole reading incomplete.
    pub(in crate::config) fn read(&mut self, file: &Path) -> io::Result<Vec<u8>> {
        fs::read(file).inspect_err(|error| self.is_incomplete |= is_out_of_files(error))
    }

    /// Reads a file as text, like [`Self::read`].
    pub(in crate::config) fn read_text(&mut self, file: &Path) -> io::Result<String> {
        fs::read_to_string(file).inspect_err(|error| self.is_incomplete |= is_out_of_files(error))
    }

    /// Whether a file was not read because the process is out of file descriptors.
    pub(in crate::config) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    pub(in crate::config) fn name(&mut self, file: &Path) {
        self.files.insert(file.to_owned());
    }

    /// The credential of the account with this name.
    pub(in crate::config) fn credential(&self, account: &str) -> Option<&Credential> {
        self.credentials.get(account)
    }

    pub(in crate::config) fn keep_credential(&mut self, account: &str, credential: Credential) {
        self.credentials.insert(account.to_owned(), credential);
    }

    /// The destinations of a section's secrets.
    pub(in crate::config) fn destination(&self, key: &str) -> Option<&String> {
        self.destinations.get(key)
    }

    pub(in crate::config) fn note_destination(&mut self, key: String, destination: String) {
        self.destinations.insert(key, destination);
    }

    pub(in crate::config) fn keep(&mut self, key: &str, contents: Vec<u8>) {
        self.contents.insert(key.to_owned(), contents.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_only_its_own_contents() {
        let mut sources = Sources::default();
        let keys = [
            "accounts.a",
            "accounts.a-b.token",
            "accounts.a.token",
            "accounts.a1.token",
            "accounts.a[0]",
            "hooks.a",
        ];
        for key in keys {
            sources.keep(key, key.into());
        }
        let keys: Vec<_> = sources.of_section("accounts.a").map(|(key, _)| key).collect();
        assert_eq!(keys, ["accounts.a", "accounts.a.token", "accounts.a[0]"]);
    }
}
