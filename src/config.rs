//! The configuration: from TOML text to a checked [`Config`], or to every mistake at once.
//!
//! Each file reads one section, key by key, into the settings of another module. Nothing here prints a value that
//! could be a secret: `found.rs` decides what a message may repeat.

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

use jiff::Timestamp;
use toml::de::DeTable;

pub use account::AccountConfig;
pub use auth::{JwksConfig, KubernetesConfig};
pub use error::{ConfigErrors, Remark};
pub use kinds::{KindFile, load_mapping, parse_kind};
pub use log::{Level, LogSettings};
pub use provider::ProviderConfig;
pub use source::Unread;
pub use watcher::{Change, Watcher};

use crate::http::{CallerSettings, HookSettings, ServerSettings};
use crate::shared::SharedSettings;
use crate::trace::TraceSettings;
use kinds::Kinds;
use reading::{Expiries, Outcome, Read, Reading};
use section::Section;
use source::Sources;

/// The checked and complete configuration of `serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The two listeners and the limits of their connections.
    pub server: ServerSettings,
    /// All providers, also those without accounts, in the order of the file.
    pub providers: Vec<ProviderConfig>,
    /// All accounts, also disabled ones, in the order of the file.
    pub accounts: Vec<AccountConfig>,
    /// All callers, in the order of the file.
    pub callers: Vec<CallerSettings>,
    /// All hooks, in the order of the file.
    pub hooks: Vec<HookSettings>,
    /// The issuer of service-account tokens, if configured.
    pub kubernetes: Option<KubernetesConfig>,
    /// The store that replicas share, if configured.
    pub shared: Option<SharedSettings>,
    /// The log settings.
    pub log: LogSettings,
    /// Where traces are exported to; `None` when tracing is off.
    pub tracing: Option<TraceSettings>,
    warnings: Vec<Remark>,
    masked: String,
    sources: Sources,
    unread: Vec<Unread>,
    expiries: Expiries,
}

impl Config {
    /// Warnings about legal but unwise settings.
    #[must_use]
    pub fn warnings(&self) -> &[Remark] {
        &self.warnings
    }

    /// The effective configuration as TOML, each secret as `***`.
    #[must_use]
    pub fn masked(&self) -> &str {
        &self.masked
    }

    /// Certificates that have expired, or expire within 30 days.
    #[must_use]
    pub fn expiring(&self, now: Timestamp) -> Vec<Remark> {
        warnings::expiring(&self.expiries, now)
    }

    /// When each certificate that the gateway itself shows expires, by its key; trusted ones are left out.
    pub fn own_expiries(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let own = |key: &str| {
            let name = key.strip_suffix(".certificate")?;
            let is_pair =
                matches!(name, "server.tls" | "server.hooks_tls") || name.ends_with(".client_identity");
            if is_pair { Some(name.len()) } else { Some(key.len()).filter(|_| name.starts_with("accounts.")) }
        };
        self.expiries.iter().filter_map(move |(key, at)| Some((&key[..own(key)?], *at)))
    }

    /// Sources that a reload could not read, and that keep their old contents.
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

/// Reads a configuration file without the files and variables that it names. The result has placeholders for their
/// contents, so it cannot be served.
///
/// # Errors
/// [`ConfigErrors`] with every mistake in the text.
pub fn load_without_secrets(path: &Path) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::WithoutSecrets).map_err(|(errors, _)| errors)
}

/// The purpose of reading a configuration.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// To start.
    Start,
    /// To replace a configuration whose sources had these contents.
    Reload(&'a Sources),
    /// To check only its text.
    WithoutSecrets,
    /// To record the first body of this account: of its kind only the request is needed.
    Recording(&'a str),
}

/// Reads what is needed to record a body of one account: no other account, and of its kind neither mapping nor examples.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn load_to_record(path: &Path, account: &str) -> Result<Config, ConfigErrors> {
    load_as(path, Purpose::Recording(account)).map_err(|(errors, _)| errors)
}

/// Reads a configuration file for any purpose. An error includes the named sources.
#[expect(clippy::disallowed_methods, reason = "the configuration is the only reader of the environment")]
fn load_as(path: &Path, purpose: Purpose<'_>) -> Result<Config, (ConfigErrors, Box<Sources>)> {
    let mut sources = Sources::default();
    let text = sources.read_text(path);
    let text = text.map_err(|error| (ConfigErrors::unreadable(path, &error), Box::new(sources)))?;
    parse_as(&text, path, &|name| std::env::var(name).ok(), purpose)
}

/// Reads a configuration text. `file` is only named in messages; `env` looks up environment variables.
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
    let Outcome { mistakes, warnings, masked, sources, unread, expiries } = reading.into_outcome();
    match config {
        Ok(config) if mistakes.is_empty() => {
            let warnings = warnings.into_iter().chain(warnings::across(&config)).collect();
            Ok(Config { warnings, masked, sources, unread, expiries, ..config })
        }
        _ => Err((ConfigErrors::new(file, mistakes), Box::new(sources))),
    }
}

/// Reads every section, so that all mistakes are reported together.
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
        let tables = match root.recorded_account() {
            Some(account) => only(&root, tables, account)?,
            None => tables,
        };
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
        expiries: Expiries::default(),
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

/// The one account of this name.
fn only<'a>(
    root: &Section<'_>,
    tables: Vec<(&'a str, Section<'a>)>,
    account: &str,
) -> Read<Vec<(&'a str, Section<'a>)>> {
    let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
    let expected = format!("expected an account {account}, among {}", names.join(", "));
    let found: Vec<_> = tables.into_iter().filter(|(name, _)| *name == account).collect();
    if found.is_empty() { Err(root.wrong("accounts", &expected)) } else { Ok(found) }
}

fn read_metrics(mut section: Section<'_>) -> Read<bool> {
    let shows_balances = section.or("balances", false);
    section.close_and_show();
    shows_balances
}
