//! Secrets: from a file or the environment, never from the TOML text.

use std::borrow::Cow;

use secrecy::SecretString;

use super::source::{SECRET_FORMS, Source, without_newline};
use crate::config::reader::{Read, Setting, Value};

/// Shown instead of a secret.
pub(in crate::config) const MASK: &str = "\"***\"";

/// A secret from its source, without one newline at the end. It is sent in headers and bodies, so it holds visible
/// ASCII only.
#[derive(Clone, Debug)]
pub(in crate::config) struct Secret(pub(in crate::config) SecretString);

impl Setting for Secret {
    const EXPECTED: &'static str = SECRET_FORMS;

    fn read(value: &Value<'_>) -> Read<Self> {
        let source = Source::read(value)?;
        let secret = source.read_as(value, |contents, source| Ok(visible(contents, source)?.into()))?;
        source.warn_if_open(value);
        Ok(Self(secret))
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// Parses contents as visible ASCII. The error names the first other character and its place.
pub(in crate::config) fn visible<'a>(contents: &'a [u8], source: &Source) -> Result<&'a str, String> {
    let text = text(contents, source)?;
    if text.get(..BEARER.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEARER)) {
        return Err(format!("expected the token alone, without `Bearer ` before it, in {source}"));
    }
    match text.chars().zip(1..).find(|(c, _)| !c.is_ascii_graphic()) {
        None => Ok(text),
        Some((c, place)) => {
            Err(format!("expected visible ASCII, not {} as character {place} of {source}", name_of(c)))
        }
    }
}

const BEARER: &str = "Bearer ";

/// The code and name of a character that may be invisible.
fn name_of(c: char) -> String {
    let name: Cow<'_, str> = match c {
        '\0' => "NUL".into(),
        '\t' => "a tab".into(),
        '\n' => "a line feed".into(),
        '\r' => "a carriage return".into(),
        ' ' => "a space".into(),
        '\u{7f}' => "DEL".into(),
        '\u{a0}' => "a no-break space".into(),
        '\u{200b}' => "a zero-width space".into(),
        '\u{200c}' => "a zero-width non-joiner".into(),
        '\u{200d}' => "a zero-width joiner".into(),
        '\u{2028}' => "a line separator".into(),
        '\u{2029}' => "a paragraph separator".into(),
        '\u{202f}' => "a narrow no-break space".into(),
        '\u{2060}' => "a word joiner".into(),
        '\u{feff}' => "a byte order mark".into(),
        c if c.is_control() => "a control character".into(),
        c if c.is_whitespace() => "white space".into(),
        _ => "not ASCII".into(),
    };
    format!("U+{:04X} ({name})", u32::from(c))
}

/// Parses contents as UTF-8.
pub(in crate::config) fn text<'a>(contents: &'a [u8], source: &Source) -> Result<&'a str, String> {
    std::str::from_utf8(without_newline(contents))
        .map_err(|error| format!("expected UTF-8, but byte {} of {source} is not", error.valid_up_to() + 1))
}
