//! The checked configuration as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::reader::{Effective, Expiries, Remark, Sources, Unread, expiring};
use super::sections::{AccountConfig, KubernetesConfig, LogSettings, ProviderConfig};
use crate::http::{CallerSettings, HookSettings, ServerSettings};
use crate::shared::SharedSettings;
use crate::trace::TraceSettings;

/// The checked and complete configuration of `serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listeners, and the limits of connections and requests.
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
    /// The collector of traces; `None` when tracing is off.
    pub tracing: Option<TraceSettings>,
    pub(super) warnings: Vec<Remark>,
    pub(super) effective: Effective,
    pub(super) sources: Arc<Sources>,
    pub(super) unread: Vec<Unread>,
    pub(super) expiries: Expiries,
}

impl Config {
    /// Warnings about legal but unwise settings.
    #[must_use]
    pub fn warnings(&self) -> &[Remark] {
        &self.warnings
    }

    /// The effective configuration as TOML, each secret as `***`.
    #[must_use]
    pub fn masked(&self) -> String {
        self.effective.to_string()
    }

    /// Certificates that have expired, or expire within 30 days.
    #[must_use]
    pub fn expiring(&self, now: Timestamp) -> Vec<Remark> {
        expiring(&self.expiries, now)
    }

    /// When each certificate that the gateway itself presents expires, by its key. Trusted certificates are left out.
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

    /// The sections whose settings or secrets differ from those of another configuration, sorted by name.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let (new, old) = (self.effective.by_section(), before.effective.by_section());
        let names: BTreeSet<&str> = new.keys().chain(old.keys()).copied().collect();
        let differs = |name: &&str| {
            new.get(name) != old.get(name)
                || !self.sources.of_section(name).eq(before.sources.of_section(name))
        };
        names.into_iter().filter(differs).map(str::to_owned).collect()
    }
}
