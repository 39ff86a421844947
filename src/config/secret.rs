//! Secrets: from a file or the environment, never from the text of the configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::reading::Read;
use super::section::{Setting, Value};
use super::setting::quoted;

/// What is shown instead.
pub(super) const MASK: &str = "\"***\"";
/// The permission of everybody who is neither the owner nor in the group.
const READABLE_BY_OTHERS: u32 = 0o004;

/// A secret as it stands in its source, but for one newline at the end of a file.
#[derive(Clone, Debug)]
pub(super) struct Secret(pub(super) SecretString);

impl Setting for Secret {
    const EXPECTED: &'static str =
        "{ file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only";

    fn read(value: &Value<'_>) -> Read<Self> {
        let found = Found::read(value)?;
        found.warn_if_open(value);
        let secret = found.text.expose_secret();
        if secret.trim() != secret {
            return Err(
                value.wrong(&format!("expected no white space around the secret in {}", found.source))
            );
        }
        Ok(Self(found.text))
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// A secret that is sent as a header of every call.
#[derive(Clone, Debug)]
pub(super) struct HeaderSecret(pub(super) SecretString);

impl Setting for HeaderSecret {
    const EXPECTED: &'static str = Secret::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let Secret(secret) = Secret::read(value)?;
        match HeaderValue::from_str(secret.expose_secret()) {
            Ok(_) => Ok(Self(secret)),
            Err(_) => Err(value.wrong("expected a secret of visible ASCII, as it is sent in a header")),
        }
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// What stood in a secret's source.
pub(super) struct Found {
    pub(super) text: SecretString,
    /// Which source that was, for messages.
    pub(super) source: String,
    is_open: bool,
}

impl Found {
    /// Reads the text behind `{ file = "…" }` or `{ env = "…" }`.
    pub(super) fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Secret::EXPECTED)?;
        let file: Read<Option<FilePath>> = section.optional("file");
        let variable: Read<Option<Variable>> = section.optional("env");
        section.close();
        match (file?, variable?) {
            (Some(file), None) => Self::in_file(value, &file),
            (None, Some(variable)) => Self::in_variable(value, &variable),
            _ => Err(value.wrong(&format!("expected exactly one of {}", Secret::EXPECTED))),
        }
    }

    fn in_file(value: &Value<'_>, file: &FilePath) -> Read<Self> {
        let source = format!("the file {}", file.0.display());
        let mut text = String::from_utf8(file.contents(value)?)
            .map_err(|_| value.wrong(&format!("expected UTF-8 in {source}")))?;
        if text.ends_with('\n') {
            text.truncate(text.len() - if text.ends_with("\r\n") { 2 } else { 1 });
        }
        let mode = fs::metadata(&file.0).map_or(0, |metadata| metadata.permissions().mode());
        Self { text: text.into(), source, is_open: mode & READABLE_BY_OTHERS != 0 }.unless_empty(value)
    }

    fn in_variable(value: &Value<'_>, variable: &Variable) -> Read<Self> {
        // Its name is not repeated: a secret may stand in its place by mistake.
        let source = "the environment variable".to_owned();
        let unset = || value.wrong("expected the name of an environment variable that is set");
        let text = value.env(&variable.0).ok_or_else(unset)?;
        Self { text: text.into(), source, is_open: false }.unless_empty(value)
    }

    fn unless_empty(self, value: &Value<'_>) -> Read<Self> {
        if self.text.expose_secret().is_empty() {
            return Err(value.wrong(&format!("expected a secret, but {} is empty", self.source)));
        }
        Ok(self)
    }

    /// Warns of a file that everybody on this machine may read.
    pub(super) fn warn_if_open(&self, value: &Value<'_>) {
        if self.is_open {
            value.warn(&format!("{} can be read by every user of this machine", self.source));
        }
    }
}

/// The path of a file; a relative one counts from the working directory.
#[derive(Clone, Debug)]
pub(super) struct FilePath(PathBuf);

impl FilePath {
    /// Reads the file whole.
    pub(super) fn contents(&self, value: &Value<'_>) -> Read<Vec<u8>> {
        let file = self.0.display();
        fs::read(&self.0)
            .map_err(|error| value.wrong(&format!("expected a readable file, but {file}: {error}")))
    }
}

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
        value.text(Self::EXPECTED, |text| {
            (!text.is_empty() && text.bytes().all(legal)).then(|| Self(text.to_owned()))
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}
