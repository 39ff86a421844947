//! Messages about a configuration: mistakes, which reject it, and warnings, which do not.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One message about one key; shown as `key.path: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    path: String,
    text: String,
}

impl Remark {
    pub(in crate::config) fn new(path: String, text: String) -> Self {
        Self { path, text }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.text) } else { write!(f, "{}: {}", self.path, self.text) }
    }
}

/// Every mistake of one configuration, in order of appearance; shown as one line each.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    file: PathBuf,
    mistakes: Vec<Remark>,
}

impl ConfigErrors {
    pub(in crate::config) fn new(file: &Path, mistakes: Vec<Remark>) -> Self {
        Self { file: file.to_owned(), mistakes }
    }

    pub(in crate::config) fn unreadable(file: &Path, error: &io::Error) -> Self {
        let text = format!("expected a readable file: {error}");
        Self::new(file, vec![Remark::new(String::new(), text)])
    }

    /// The message for text that is not TOML. The library's own message quotes the line, which could hold a secret.
    pub(in crate::config) fn syntax(file: &Path, text: &str, errors: &[toml::de::Error]) -> Self {
        let remark = |error: &toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            Remark::new(format!("line {line}"), format!("expected TOML: {}", error.message()))
        };
        Self::new(file, errors.iter().map(remark).collect())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let end_of_last = if index == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}{}: {mistake}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
