//! Reads a configuration from a file or a text.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::reader::{ConfigErrors, ConfigReading, LoadResult, Purpose, Section, Sources};
use super::whole::Config;
use super::{sections, warnings};

/// Reads a configuration file, the secret files that it names (relative ones from the working directory) and the
/// environment variables that it names.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::Start).map_err(|(errors, _)| errors)
}

/// Reads a configuration file without the files and variables that it names. The result has placeholders for their
/// contents, so it cannot be served.
///
/// # Errors
/// [`ConfigErrors`] with every mistake in the text.
pub fn load_without_secrets(path: &Path) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::WithoutSecrets).map_err(|(errors, _)| errors)
}

/// Reads the settings that are needed to record a body of one account. Other accounts, and the mapping and the examples
/// of its kind, are not read.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn load_to_record(path: &Path, account: &str) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::Recording(account)).map_err(|(errors, _)| errors)
}

/// Reads a configuration file for any purpose. An error includes the sources that the text names.
#[expect(clippy::disallowed_methods, reason = "the configuration is the only reader of the environment")]
pub(super) fn load_as(path: &Path, purpose: Purpose<'_>) -> Result<Config, (ConfigErrors, Arc<Sources>)> {
    let mut sources = Sources::default();
    let text = sources.read_text(path);
    let text = text.map_err(|error| (ConfigErrors::unreadable(path, &error), Arc::new(sources)))?;
    parse_as(&text, path, &|name| std::env::var(name).ok(), purpose)
}

/// Reads a configuration text. `file` is only named in messages; `env` looks up environment variables.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn parse(text: &str, file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    parse_as(text, file, env, Purpose::Start).map_err(|(errors, _)| errors)
}

pub(super) fn parse_as(
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    purpose: Purpose<'_>,
) -> Result<Config, (ConfigErrors, Arc<Sources>)> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err((ConfigErrors::syntax(file, text, &errors), Arc::default()));
    }
    let reading = ConfigReading::new(env, purpose);
    let config = sections::read(Section::root(document.get_ref(), &reading));
    let LoadResult { mistakes, warnings, effective, sources, unread, expiries } = reading.into_result();
    let sources = Arc::new(sources);
    match config {
        Ok(config) if mistakes.is_empty() => {
            let warnings = warnings.into_iter().chain(warnings::across(&config)).collect();
            Ok(Config { warnings, effective, sources, unread, expiries, ..config })
        }
        _ => Err((ConfigErrors::new(file, mistakes), sources)),
    }
}
