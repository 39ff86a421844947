//! The configuration: TOML text in, a checked [`Config`] out, or every mistake at once.
//!
//! Each file reads one section, key by key, into the settings that the other modules own. Nothing here prints a
//! value that could be a secret: a mistake names its key and what is expected, never what stood there.

mod account;
mod address;
mod balances;
mod caller;
mod duration;
mod error;
mod freshness;
mod log;
mod pem;
mod provider;
mod rate;
mod reading;
mod secret;
mod section;
mod server;
mod setting;
mod warnings;

#[cfg(test)]
mod tests;

use std::path::Path;

use toml::de::DeTable;

pub use account::AccountConfig;
pub use error::{ConfigErrors, Remark};
pub use log::{Level, LogSettings};
pub use provider::ProviderConfig;

use crate::http::{CallerSettings, ServerSettings};
use reading::{Read, Reading};
use section::Section;

/// Everything that `serve` is told, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// The two listeners and the limits of their connections.
    pub server: ServerSettings,
    /// Every provider, also one without accounts, in the order of the file.
    pub providers: Vec<ProviderConfig>,
    /// Every account, also one that is switched off, in the order of the file.
    pub accounts: Vec<AccountConfig>,
    /// Every caller, in the order of the file.
    pub callers: Vec<CallerSettings>,
    /// What is logged.
    pub log: LogSettings,
    warnings: Vec<Remark>,
    masked: String,
}

impl Config {
    /// What is legal but unwise.
    #[must_use]
    pub fn warnings(&self) -> &[Remark] {
        &self.warnings
    }

    /// The effective configuration as TOML, each secret as `***`.
    #[must_use]
    pub fn masked(&self) -> &str {
        &self.masked
    }
}

/// Reads a configuration file, the secret files that it names (relative ones from the working directory) and the
/// environment variables that it names.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigErrors::unreadable(path, &error))?;
    parse(&text, path, &|name| std::env::var(name).ok())
}

/// Reads a configuration text. `file` is only named in mistakes; `env` stands for the environment.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn parse(text: &str, file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(ConfigErrors::syntax(file, text, &errors));
    }
    let reading = Reading::new(env);
    let config = read(Section::root(document.get_ref(), &reading));
    let (mistakes, warnings, masked) = reading.into_parts();
    match config {
        Ok(config) if mistakes.is_empty() => {
            let warnings = warnings.into_iter().chain(warnings::across(&config)).collect();
            Ok(Config { warnings, masked, ..config })
        }
        _ => Err(ConfigErrors::new(file, mistakes)),
    }
}

/// Reads every section before the first mistake is acted upon.
fn read(mut root: Section<'_>) -> Read<Config> {
    let server = server::read(root.section("server"));
    let freshness = freshness::read(root.section("freshness"));
    let providers = root.tables("providers").map(|tables| provider::read_all(tables, &server, freshness));
    let accounts = root.tables("accounts").and_then(|tables| {
        if tables.is_empty() {
            root.wrong("accounts", "expected at least one account");
        }
        account::read_all(tables, providers.as_deref())
    });
    let callers = root.tables("callers").and_then(|tables| caller::read_all(tables, server.replicas));
    read_metrics(root.section("metrics"));
    let log = log::read(root.section("log"));
    read_unavailable(root);

    let providers: Read<_> = providers?.into_iter().map(|provider| provider.config).collect();
    let (log, server) = (log?, server.settings?);
    Ok(Config {
        server: ServerSettings { log_requests: log.requests, ..server },
        providers: providers?,
        accounts: accounts?,
        callers: callers?,
        log,
        warnings: Vec::new(),
        masked: String::new(),
    })
}

fn read_metrics(mut section: Section<'_>) {
    if section.or("balances", false) == Ok(true) {
        section.wrong("balances", section::UNAVAILABLE);
    }
    section.close_and_show();
}

/// Sections of the contract that this version does not have: better refused than silently without effect.
fn read_unavailable(mut root: Section<'_>) {
    if root.has("auth") {
        let mut auth = root.section("auth");
        auth.unavailable("kubernetes");
        auth.close();
    }
    root.unavailable("tracing");
    root.unavailable("shared");
    root.close();
}
