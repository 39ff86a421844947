//! What all parts of one reading share: the environment, the remarks so far, and the effective text.

use std::cell::RefCell;
use std::fmt::Write as _;

use super::error::Remark;

/// Stands for a mistake that has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported;

/// A value, or a mistake that has been reported.
pub(super) type Read<T> = Result<T, Reported>;

/// What all parts of one reading share.
pub(super) struct Reading<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Vec<(usize, Remark)>>,
    warnings: RefCell<Vec<(usize, Remark)>>,
    masked: RefCell<String>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { env, mistakes: RefCell::default(), warnings: RefCell::default(), masked: RefCell::default() }
    }

    /// Mistakes and warnings, each in order of appearance, and the effective text.
    pub(super) fn into_parts(self) -> (Vec<Remark>, Vec<Remark>, String) {
        let in_order = |remarks: RefCell<Vec<(usize, Remark)>>| {
            let mut remarks = remarks.into_inner();
            remarks.sort_by_key(|(at, _)| *at);
            remarks.into_iter().map(|(_, remark)| remark).collect()
        };
        (in_order(self.mistakes), in_order(self.warnings), self.masked.into_inner())
    }

    /// Looks up an environment variable.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Notes a mistake.
    pub(super) fn report(&self, place: &Place, text: &str) -> Reported {
        self.mistakes.borrow_mut().push((place.at, Remark::new(place.path.clone(), text.to_owned())));
        Reported
    }

    /// Notes what is legal but unwise.
    pub(super) fn warn(&self, place: &Place, text: &str) {
        self.warnings.borrow_mut().push((place.at, Remark::new(place.path.clone(), text.to_owned())));
    }

    /// Notes the effective text of a section.
    pub(super) fn show(&self, place: &Place, lines: &[(&str, Option<String>)]) {
        let mut masked = self.masked.borrow_mut();
        let gap = if masked.is_empty() { "" } else { "\n" };
        // Writing to a string does not fail.
        let _ = writeln!(masked, "{gap}[{}]", place.path);
        for (key, value) in lines {
            let _ = match value {
                Some(value) => writeln!(masked, "{key} = {value}"),
                None => writeln!(masked, "# {key}: not set"),
            };
        }
    }
}

/// A key path and where in the text it stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) at: usize,
}

impl Place {
    /// The path of a key in here, as TOML writes it: a key that is not bare stands in quotes. `""` is this place.
    pub(super) fn join(&self, key: &str) -> String {
        let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let key = if is_bare { key.to_owned() } else { format!("\"{}\"", key.escape_debug()) };
        let separator = if self.path.is_empty() || key.is_empty() { "" } else { "." };
        [&self.path, separator, &key].concat()
    }
}
