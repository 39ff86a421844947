//! Reads sources outside the TOML text: secrets, certificates and CAs in files or in the environment.
//!
//! At start, an unreadable source is a mistake. In a reload it keeps its old contents. A new account stays disabled until
//! its secret is readable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{SecretSlice, SecretString};
use toml::de::DeValue;

use crate::config::reader::{Read, Setting, Value, found, quoted};

/// The read permission of users other than the owner and the group.
const READABLE_BY_OTHERS: u32 = 0o004;
/// The two forms of a secret.
pub(in crate::config) const SECRET_FORMS: &str =
    "{ file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only";

/// The source of a value.
#[derive(Clone, Debug)]
pub(in crate::config) enum Source {
    File(PathBuf),
    Variable(String),
}

impl Source {
    /// Reads `{ file = "…" }` or `{ env = "…" }`.
    pub(in crate::config) fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(SECRET_FORMS)?;
        let file: Read<Option<FilePath>> = section.optional("file");
        let variable: Read<Option<Variable>> = section.optional("env");
        section.close();
        match (file?, variable?) {
            (Some(FilePath(file)), None) => Ok(Self::File(file)),
            (None, Some(Variable(name))) => Ok(Self::Variable(name)),
            _ => Err(value.wrong(&format!("expected exactly one of {SECRET_FORMS}"))),
        }
    }

    /// Reads and parses the contents; the error names the expected form. In a reload, invalid contents are replaced by
    /// the old ones.
    pub(in crate::config) fn read_as<T: Placeholder>(
        &self,
        value: &Value<'_>,
        parse: impl Fn(&[u8], &Self) -> Result<T, String>,
    ) -> Read<T> {
        if !value.reads_sources() {
            return Ok(T::placeholder(self));
        }
        if let Self::File(file) = self {
            value.sources().name(file);
        }
        let parsed = self.contents(value).and_then(|contents| Ok((parse(&contents, self)?, contents)));
        match parsed {
            Ok((parsed, contents)) => {
                value.sources().keep(value.path(), contents);
                Ok(parsed)
            }
            Err(problem) => {
                let kept = value.unread(self.file(), &problem)?;
                let parsed = parse(&kept, self).map_err(|problem| value.wrong(&problem))?;
                value.sources().keep(value.path(), kept);
                Ok(parsed)
            }
        }
    }

    /// The bytes; an error never contains any of them.
    fn contents(&self, value: &Value<'_>) -> Result<Vec<u8>, String> {
        let contents = match self {
            Self::File(file) => value
                .sources()
                .read(file)
                .map_err(|error| format!("expected a readable file, but {}: {error}", file.display()))?,
            Self::Variable(name) => {
                value.env(name).ok_or_else(|| format!("expected {self} to be set"))?.into_bytes()
            }
        };
        if without_newline(&contents).is_empty() {
            return Err(format!("expected contents, but {self} is empty"));
        }
        Ok(contents)
    }

    /// Warns about a file that every user of this machine may read.
    pub(in crate::config) fn warn_if_open(&self, value: &Value<'_>) {
        let Self::File(file) = self else { return };
        if !value.reads_sources() {
            return;
        }
        let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
        if mode & READABLE_BY_OTHERS != 0 {
            value.warn(&format!("{self} can be read by every user of this machine"));
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Variable(_) => None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "the file {}", file.display()),
            Self::Variable(name) => write!(f, "the environment variable {}", found::variable(name)),
        }
    }
}

/// A placeholder for contents, for a check without them.
pub(in crate::config) trait Placeholder {
    /// Makes the placeholder, which is always the same for one source.
    fn placeholder(source: &Source) -> Self;
}

impl Placeholder for SecretString {
    fn placeholder(source: &Source) -> Self {
        format!("{source:?}").into()
    }
}

impl Placeholder for SecretSlice<u8> {
    fn placeholder(_: &Source) -> Self {
        Self::default()
    }
}

impl Placeholder for Vec<u8> {
    fn placeholder(_: &Source) -> Self {
        Self::new()
    }
}

/// The text without one newline at its end, which editors add.
pub(in crate::config) fn without_newline(contents: &[u8]) -> &[u8] {
    contents.strip_suffix(b"\n").map_or(contents, |line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The path of a file; a relative one starts at the working directory.
#[derive(Clone, Debug)]
pub(in crate::config) struct FilePath(pub(in crate::config) PathBuf);

impl Setting for FilePath {
    const EXPECTED: &'static str = "the path of a file";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| (!text.is_empty()).then(|| Self(text.into())))
    }

    fn show(&self) -> String {
        quoted(&self.0.to_string_lossy())
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug)]
struct Variable(String);

impl Setting for Variable {
    const EXPECTED: &'static str = "the name of an environment variable, of letters, digits and _";

    fn read(value: &Value<'_>) -> Read<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        // The value is not shown: it may be the secret instead of a variable's name.
        match value.toml() {
            DeValue::String(text) if !text.is_empty() && text.bytes().all(legal) => {
                Ok(Self(text.to_string()))
            }
            _ => Err(value.expected_hiding(Self::EXPECTED)),
        }
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}
