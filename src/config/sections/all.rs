//! Reads every section of a configuration.

use std::sync::Arc;

use super::kinds::Kinds;
use super::{account, auth, caller, freshness, hooks, log, provider, server, shared, tracing};
use crate::config::reader::{Effective, Expiries, Read, Section};
use crate::config::whole::Config;
use crate::http::{HookSettings, ServerSettings};

/// Reads every section, so that all mistakes are reported together.
pub(in crate::config) fn read(mut root: Section<'_>) -> Read<Config> {
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
            root.wrong("accounts", "expected at least one account, found none");
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
        effective: Effective::default(),
        sources: Arc::default(),
        unread: Vec::new(),
        expiries: Expiries::default(),
    })
}

/// Reads the hooks. Without a listener they are a mistake, because no notification would arrive.
fn read_hooks(root: &mut Section<'_>, server: &server::Server) -> Read<Vec<HookSettings>> {
    if !root.has("hooks") {
        // Read, so that a message about an unknown key lists `hooks`.
        root.section("hooks");
        return Ok(Vec::new());
    }
    if server.settings.as_ref().is_ok_and(|settings| settings.hooks.is_none()) {
        root.wrong("hooks", "expected server.hooks, the address on which notifications arrive");
    }
    root.tables("hooks").and_then(hooks::read_all)
}

/// Keeps only the account with this name.
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
    section.close_and_record();
    shows_balances
}
