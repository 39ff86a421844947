//! Notices that the configuration, or a file that it names, has changed, and reads it anew.
//!
//! It compares contents and not events: a mounted Secret changes by the swap of a symbolic link, which a watch on the
//! file does not see.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::source::Sources;
use super::{Config, ConfigErrors, Purpose, load_as};

/// What reading anew brought.
#[derive(Debug)]
pub enum Change {
    /// A good configuration.
    Loaded(Box<Config>),
    /// One with mistakes; the one before it stays.
    Rejected(ConfigErrors),
}

/// Looks at a configuration file and the files that it names.
#[derive(Clone, Debug)]
pub struct Watcher {
    path: PathBuf,
    /// What the sources of the last good configuration held.
    sources: Sources,
    /// The files that the last configuration named, a rejected one too.
    named: Sources,
    seen: [u8; 32],
    /// What was seen at the last look, if it was new.
    settling: Option<[u8; 32]>,
    was_rejected: bool,
}

impl Watcher {
    /// Watches the file that this configuration was loaded from.
    #[must_use]
    pub fn new(path: &Path, config: &Config) -> Self {
        let sources = config.sources.clone();
        let seen = fingerprint(path, &sources);
        Self {
            path: path.to_owned(),
            named: sources.clone(),
            sources,
            seen,
            settling: None,
            was_rejected: false,
        }
    }

    /// Whether anything was written since the last reload and is no longer being written: two looks in a row see the
    /// same.
    pub fn has_settled_change(&mut self) -> bool {
        let now = fingerprint(&self.path, &self.named);
        let before = self.settling.replace(now);
        now != self.seen && before == Some(now)
    }

    /// Reads everything anew. `None` when it is what was rejected already.
    pub fn reload(&mut self) -> Option<Change> {
        let seen = fingerprint(&self.path, &self.named);
        if self.was_rejected && seen == self.seen {
            return None;
        }
        // What is written meanwhile differs from what was seen before, and is a change at the next look. Where other
        // files are named than before, everything is read once more, so that they were seen before as well.
        let loaded = self.load(seen);
        let loaded = if fingerprint(&self.path, &self.named) == self.seen {
            loaded
        } else {
            self.load(fingerprint(&self.path, &self.named))
        };
        self.was_rejected = loaded.is_err();
        Some(match loaded {
            Ok(config) => {
                self.sources = config.sources.clone();
                Change::Loaded(Box::new(config))
            }
            Err(errors) => Change::Rejected(errors),
        })
    }

    fn load(&mut self, seen: [u8; 32]) -> Result<Config, ConfigErrors> {
        let loaded = load_as(&self.path, Purpose::Reload(&self.sources));
        self.seen = seen;
        self.named = match &loaded {
            Ok(config) => config.sources.clone(),
            Err((_, named)) => Sources::clone(named),
        };
        loaded.map_err(|(errors, _)| errors)
    }

    /// Notes that what was loaded last cannot be put into force.
    pub fn note_rejected(&mut self) {
        self.was_rejected = true;
    }
}

/// A digest of everything that is read.
fn fingerprint(path: &Path, sources: &Sources) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in std::iter::once(path).chain(sources.files()) {
        // What cannot be read differs from everything that can.
        let contents = fs::read(file).map_err(|error| error.kind());
        digest.update(file.as_os_str().as_encoded_bytes());
        match contents {
            Ok(contents) => {
                digest.update(contents.len().to_le_bytes());
                digest.update(contents);
            }
            Err(kind) => digest.update(kind.to_string()),
        }
    }
    digest.finalize().into()
}
