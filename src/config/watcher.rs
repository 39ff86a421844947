//! Detects changes of the configuration and of the files that it names, and reads them again.
//!
//! It compares contents: Kubernetes changes a mounted Secret by swapping a symbolic link, which file events do not
//! show.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::load::load_as;
use super::reader::{ConfigErrors, Purpose, Sources};
use super::whole::Config;
use crate::domain::is_out_of_files;

/// The result of reading again.
#[derive(Debug)]
pub enum Change {
    /// A valid configuration.
    Loaded(Box<Config>),
    /// A configuration with mistakes; the old one stays.
    Rejected(ConfigErrors),
    /// The process is out of file descriptors: the files are read again at the next check.
    Postponed,
}

/// Watches a configuration file and the files that it names.
#[derive(Clone, Debug)]
pub struct Watcher {
    path: PathBuf,
    /// The contents of the sources of the last valid configuration.
    sources: Arc<Sources>,
    /// The files that the last configuration named, even if it was rejected.
    named: Arc<Sources>,
    /// The digest of the last reload; `None` if the process was out of file descriptors.
    seen: Option<[u8; 32]>,
    /// The digest at the last check, if it was new.
    settling: Option<[u8; 32]>,
    was_rejected: bool,
    /// Whether the last reload could not read every file for lack of file descriptors.
    is_postponed: bool,
}

impl Watcher {
    /// Watches the file that this configuration was loaded from.
    #[must_use]
    pub fn new(path: &Path, config: &Config) -> Self {
        let sources = Arc::clone(&config.sources);
        let seen = fingerprint(path, &sources);
        Self {
            path: path.to_owned(),
            named: Arc::clone(&sources),
            sources,
            seen,
            settling: None,
            was_rejected: false,
            is_postponed: false,
        }
    }

    /// Whether a file changed since the last reload and is complete: two checks in a row see the same contents.
    pub fn has_settled_change(&mut self) -> bool {
        let Some(now) = fingerprint(&self.path, &self.named) else { return self.is_postponed };
        let before = self.settling.replace(now);
        self.is_postponed || (Some(now) != self.seen && before == Some(now))
    }

    /// Reads everything again. `None` if the contents were already rejected, or if the reading is still postponed.
    pub fn reload(&mut self) -> Option<Change> {
        let before = self.clone();
        let change = self.try_reload();
        if self.named.is_incomplete() || self.seen.is_none() {
            let is_first = !before.is_postponed;
            *self = Self { is_postponed: true, ..before };
            return is_first.then_some(Change::Postponed);
        }
        self.is_postponed = false;
        change
    }

    fn try_reload(&mut self) -> Option<Change> {
        let seen = fingerprint(&self.path, &self.named);
        if self.was_rejected && seen == self.seen {
            return None;
        }
        // A file written meanwhile differs from the digest, and is a change at the next check. If other files are
        // named than before, everything is read once more, so that the digest covers them.
        let loaded = self.load(seen);
        let loaded = if fingerprint(&self.path, &self.named) == self.seen {
            loaded
        } else {
            self.load(fingerprint(&self.path, &self.named))
        };
        self.was_rejected = loaded.is_err();
        Some(match loaded {
            Ok(config) => {
                self.sources = Arc::clone(&config.sources);
                Change::Loaded(Box::new(config))
            }
            Err(errors) => Change::Rejected(errors),
        })
    }

    fn load(&mut self, seen: Option<[u8; 32]>) -> Result<Config, ConfigErrors> {
        let loaded = load_as(&self.path, Purpose::Reload(&self.sources));
        self.seen = seen;
        self.named = match &loaded {
            Ok(config) => Arc::clone(&config.sources),
            Err((_, named)) => Arc::clone(named),
        };
        loaded.map_err(|(errors, _)| errors)
    }

    /// Records that the last loaded configuration cannot be applied.
    pub fn note_rejected(&mut self) {
        self.was_rejected = true;
    }
}

/// A digest of the contents of all files; `None` while the process is out of file descriptors.
fn fingerprint(path: &Path, sources: &Sources) -> Option<[u8; 32]> {
    let mut digest = Sha256::new();
    for file in std::iter::once(path).chain(sources.files()) {
        // An unreadable file differs from every readable one.
        let contents = fs::read(file);
        if contents.as_ref().is_err_and(is_out_of_files) {
            return None;
        }
        digest.update(file.as_os_str().as_encoded_bytes());
        match contents {
            Ok(contents) => {
                digest.update(contents.len().to_le_bytes());
                digest.update(contents);
            }
            Err(error) => digest.update(error.kind().to_string()),
        }
    }
    Some(digest.finalize().into())
}
