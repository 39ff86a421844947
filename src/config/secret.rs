//! Secrets: from a file or the environment, never from the text of the configuration.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::reading::Read;
use super::section::{Setting, Value};
use super::source::{self, Source, without_newline};

/// What is shown instead.
pub(super) const MASK: &str = "\"***\"";

/// A secret as it stands in its source, but for one newline at the end.
#[derive(Clone, Debug)]
pub(super) struct Secret(pub(super) SecretString);

impl Setting for Secret {
    const EXPECTED: &'static str = source::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let source = Source::read(value)?;
        let secret = source.understood(value, secret)?;
        source.warn_if_open(value);
        Ok(Self(secret))
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
        let source = Source::read(value)?;
        let secret = source.understood(value, |contents, source| {
            let secret = secret(contents, source)?;
            match HeaderValue::from_str(secret.expose_secret()) {
                Ok(_) => Ok(secret),
                Err(_) => Err("expected a secret of visible ASCII, as it is sent in a header".to_owned()),
            }
        })?;
        source.warn_if_open(value);
        Ok(Self(secret))
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// Understands contents as UTF-8.
pub(super) fn text<'a>(contents: &'a [u8], source: &Source) -> Result<&'a str, String> {
    std::str::from_utf8(without_newline(contents)).map_err(|_| format!("expected UTF-8 in {source}"))
}

fn secret(contents: &[u8], source: &Source) -> Result<SecretString, String> {
    let text = text(contents, source)?;
    if text.trim() == text {
        Ok(text.into())
    } else {
        Err(format!("expected no white space around the secret in {source}"))
    }
}
