//! The configuration: TOML text in, a checked [`Config`] out, or every mistake at once.
//!
//! Each file reads one section, key by key, into the settings that the other modules own. Nothing here prints a
//! value that could be a secret: a mistake names its key and what is expected, never what stood there.

mod account;
mod address;
mod alerts;
mod auth;
mod balances;
mod caller;
mod duration;
mod error;
mod found;
mod freshness;
mod hooks;
mod kinds;
mod log;
mod pem;
mod provider;
mod rate;
mod reading;
mod secret;
mod section;
mod server;
mod setting;
mod shared;
mod source;
mod tls;
mod tracing;
mod warnings;
mod watcher;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::DeTable;

pub use account::AccountConfig;
pub use auth::{JwksConfig, KubernetesConfig};
pub use error::{ConfigErrors, Remark};
pub use log::{Level, LogSettings};
pub use provider::ProviderConfig;
pub use source::Unread;
pub use watcher::{Change, Watcher};

use crate::http::{CallerSettings, HookSettings, ServerSettings};
use crate::shared::SharedSettings;
use crate::trace::TraceSettings;
use kinds::Kinds;
use reading::{Outcome, Read, Reading};
use section::Section;
use source::Sources;

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
    /// Every hook, in the order of the file.
    pub hooks: Vec<HookSettings>,
    /// Whose service-account tokens identify callers, if anybody's.
    pub kubernetes: Option<KubernetesConfig>,
    /// The store that several replicas share, if any.
    pub shared: Option<SharedSettings>,
    /// What is logged.
    pub log: LogSettings,
    /// Where traces go; `None` when nothing is traced.
    pub tracing: Option<TraceSettings>,
    warnings: Vec<Remark>,
    masked: String,
    sources: Sources,
    unread: Vec<Unread>,
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

    /// What could not be read in a reload, and stays what it was.
    #[must_use]
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// The sections that differ from those of another configuration, secrets included, sorted by name.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let (new, old) = (self.sections(), before.sections());
        let names: BTreeSet<&str> = new.keys().chain(old.keys()).copied().collect();
        let differs = |name: &&str| {
            new.get(name) != old.get(name)
                || !self.sources.of_section(name).eq(before.sources.of_section(name))
        };
        names.into_iter().filter(differs).map(str::to_owned).collect()
    }

    /// The effective text of each section, by its name.
    fn sections(&self) -> BTreeMap<&str, &str> {
        let sections = self.masked.split("\n[").filter_map(|section| section.split_once(']'));
        sections.map(|(name, text)| (name.trim_start_matches('['), text.trim())).collect()
    }
}

/// Reads a configuration file, the secret files that it names (relative ones from the working directory) and the
/// environment variables that it names.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::Start).map_err(|(errors, _)| errors)
}

/// Reads a configuration file without the files and variables that it names. What is returned cannot be served: it has
/// nothing of what they hold.
///
/// # Errors
/// [`ConfigErrors`] with every mistake of the text itself.
pub fn load_without_secrets(path: &Path) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::WithoutSecrets).map_err(|(errors, _)| errors)
}

/// What a configuration is read for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// To start with it.
    Start,
    /// To replace a configuration whose sources held this.
    Reload(&'a Sources),
    /// To check its text alone.
    WithoutSecrets,
}

/// Likewise, for any purpose. With the mistakes come the sources that were named.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn load_as(path: &Path, purpose: Purpose<'_>) -> Result<Config, (ConfigErrors, Box<Sources>)> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| (ConfigErrors::unreadable(path, &error), Box::default()))?;
    parse_as(&text, path, &|name| std::env::var(name).ok(), purpose)
}

/// Reads a configuration text. `file` is only named in mistakes; `env` stands for the environment.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn parse(text: &str, file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    parse_as(text, file, env, Purpose::Start).map_err(|(errors, _)| errors)
}

fn parse_as(
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    purpose: Purpose<'_>,
) -> Result<Config, (ConfigErrors, Box<Sources>)> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err((ConfigErrors::syntax(file, text, &errors), Box::default()));
    }
    let reading = Reading::new(env, purpose);
    let config = read(Section::root(document.get_ref(), &reading));
    let Outcome { mistakes, warnings, masked, sources, unread } = reading.into_outcome();
    match config {
        Ok(config) if mistakes.is_empty() => {
            let warnings = warnings.into_iter().chain(warnings::across(&config)).collect();
            Ok(Config { warnings, masked, sources, unread, ..config })
        }
        _ => Err((ConfigErrors::new(file, mistakes), Box::new(sources))),
    }
}

/// Reads every section before the first mistake is acted upon.
fn read(mut root: Section<'_>) -> Read<Config> {
    let has_store = root.has("shared");
    let server = server::read(root.section("server"), has_store);
    let shared = root.section("shared");
    let shared = has_store.then(|| shared::read(shared, server.replicas)).transpose();
    let freshness = freshness::read(root.section("freshness"));
    let kinds = if root.has("kinds") { root.tables("kinds") } else { Ok(Vec::new()) };
    let kinds = kinds.map(Kinds::read);
    let none = Kinds::read(Vec::new());
    let declared = kinds.as_ref().unwrap_or(&none);
    let providers =
        root.tables("providers").map(|tables| provider::read_all(tables, &server, freshness, declared));
    let accounts = root.tables("accounts").and_then(|tables| {
        if tables.is_empty() {
            root.wrong("accounts", "expected at least one account");
        }
        account::read_all(tables, providers.as_deref())
    });
    let kubernetes = auth::read(root.section("auth"));
    let accepts_tokens = !matches!(kubernetes, Ok(None));
    let callers = root.tables("callers");
    let callers = callers.and_then(|tables| caller::read_all(tables, server.replicas, accepts_tokens));
    let hooks = read_hooks(&mut root, &server);
    let shows_balances = read_metrics(root.section("metrics"));
    let log = log::read(root.section("log"));
    let (is_traced, tracing) = (root.has("tracing"), root.section("tracing"));
    let tracing = is_traced.then(|| tracing::read(tracing)).transpose();
    root.value("kinds");
    let kinds = kinds.map(Kinds::close);
    root.close();
    kinds?;

    let providers: Read<_> = providers?.into_iter().map(|provider| provider.config).collect();
    let (log, server) = (log?, server.settings?);
    Ok(Config {
        server: ServerSettings { log_requests: log.requests, shows_balances: shows_balances?, ..server },
        providers: providers?,
        accounts: accounts?,
        callers: callers?,
        hooks: hooks?,
        kubernetes: kubernetes?,
        shared: shared?,
        log,
        tracing: tracing?,
        warnings: Vec::new(),
        masked: String::new(),
        sources: Sources::default(),
        unread: Vec::new(),
    })
}

/// Without a listener, hooks would hear of nothing.
fn read_hooks(root: &mut Section<'_>, server: &server::Server) -> Read<Vec<HookSettings>> {
    if !root.has("hooks") {
        // Named among the keys that there are.
        root.section("hooks");
        return Ok(Vec::new());
    }
    if server.settings.as_ref().is_ok_and(|settings| settings.hooks.is_none()) {
        root.wrong("hooks", "expected server.hooks, the address on which notifications arrive");
    }
    root.tables("hooks").and_then(hooks::read_all)
}

fn read_metrics(mut section: Section<'_>) -> Read<bool> {
    let shows_balances = section.or("balances", false);
    section.close_and_show();
    shows_balances
}
