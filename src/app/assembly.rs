//! Builds the gateway of a configuration. A reload builds the next gateway from the current one and keeps unchanged
//! parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::BuildError;
use crate::cache::BalanceCache;
use crate::config::{AccountConfig, Config, ProviderConfig};
use crate::domain::{Clock, ProviderName};
use crate::gateway::{Account, Gateway};
use crate::metrics::Metrics;
use crate::shared::{Shared, SharedAccountSettings, SharedBreaker, SharedBreakerSettings};
use crate::telemetry::targets;
use crate::upstream::{ProviderSettings, Upstream, UpstreamProvider, UpstreamSettings};

type Providers = BTreeMap<ProviderName, Arc<UpstreamProvider>>;

/// Builds every provider and account of a configuration.
pub(super) fn gateway(
    config: &Config,
    clock: Clock,
    metrics: &Metrics,
    shared: Option<&Arc<Shared>>,
    cache: BalanceCache,
) -> Result<Gateway, BuildError> {
    let make = |provider: &ProviderConfig| make_provider(provider, clock, shared, metrics);
    let providers: Vec<_> = config.providers.iter().map(make).collect::<Result<_, _>>()?;
    let by_name = by_name(&providers);
    let accounts = config.accounts.iter().filter_map(|account| {
        let upstream = Upstream::new(upstream_settings(account, &by_name, shared)?);
        Some(Account::new(account.settings.clone(), Arc::new(upstream)))
    });
    Ok(Gateway::new(accounts.collect(), providers, cache, clock))
}

/// Builds the next gateway from the current one, whose configuration is `before`. An error leaves the current gateway
/// unchanged.
pub(super) async fn reconfigured(
    gateway: &Gateway,
    before: &Config,
    config: &Config,
    metrics: &Metrics,
    shared: Option<&Arc<Shared>>,
    cache: BalanceCache,
) -> Result<Gateway, BuildError> {
    let old_providers = by_name(gateway.providers());
    let make = |provider: &ProviderConfig| match old_providers.get(&provider.settings.name) {
        Some(old) => reconfigured_provider(old, provider, shared),
        None => make_provider(provider, gateway.clock(), shared, metrics),
    };
    let providers: Vec<_> = config.providers.iter().map(make).collect::<Result<_, _>>()?;
    // Nothing fails from here on.
    for provider in &providers {
        let is_enabled = |config| self::provider(config, provider.name()).map(|it| it.is_enabled);
        let is_configured_alike =
            old_providers.get(provider.name()).is_none_or(|old| old.is_configured_like(provider));
        if is_enabled(config) != is_enabled(before) || !is_configured_alike {
            provider.reset_breaker();
        }
    }
    let by_name = by_name(&providers);
    let accounts = config.accounts.iter().filter_map(|account| {
        let settings = upstream_settings(account, &by_name, shared)?;
        let upstream = match gateway.account(account.settings.name.as_str()) {
            Some(old) => old.upstream().reconfigured(settings, old.has_identity_of(&account.settings)),
            None => Arc::new(Upstream::new(settings)),
        };
        Some(Account::new(account.settings.clone(), upstream))
    });
    let next = gateway.reconfigured(accounts.collect(), providers, cache);
    for account in &config.accounts {
        let old = gateway.account(account.settings.name.as_str());
        if old.is_some_and(|old| !old.has_identity_of(&account.settings)) {
            next.forget_balances(&account.settings.name).await;
        }
        if has_new_secret(account, config, before) {
            next.forget_refusals(&account.settings.name).await;
        }
    }
    Ok(next)
}

fn make_provider(
    provider: &ProviderConfig,
    clock: Clock,
    shared: Option<&Arc<Shared>>,
    metrics: &Metrics,
) -> Result<Arc<UpstreamProvider>, BuildError> {
    let (name, shared) = (&provider.settings.name, shared_breaker(provider, shared));
    let made = UpstreamProvider::new(provider.settings.clone(), clock, shared, metrics.provider(name));
    made.map(Arc::new).map_err(|error| BuildError::Client(name.clone(), error))
}

/// A provider with new settings. If its certificates cannot be used, the files are probably still being replaced: the
/// current ones are kept.
fn reconfigured_provider(
    old: &Arc<UpstreamProvider>,
    provider: &ProviderConfig,
    shared: Option<&Arc<Shared>>,
) -> Result<Arc<UpstreamProvider>, BuildError> {
    let (name, shared) = (&provider.settings.name, shared_breaker(provider, shared));
    old.reconfigured(provider.settings.clone(), shared.clone()).or_else(|error| {
        tracing::warn!(
            target: targets::ASSEMBLY,
            key = %format_args!("providers.{name}"),
            error = &error as &dyn std::error::Error,
            "the new certificates cannot be used; the current ones stay in use"
        );
        let kept = old.with_its_identity(provider.settings.clone(), shared);
        kept.map_err(|error| BuildError::Client(name.clone(), error))
    })
}

fn shared_breaker(provider: &ProviderConfig, shared: Option<&Arc<Shared>>) -> Option<Arc<SharedBreaker>> {
    let ProviderSettings { name, breaker, attempt_timeout, .. } = &provider.settings;
    let settings = SharedBreakerSettings {
        failures: breaker.failures,
        cooldown: breaker.cooldown,
        attempt: *attempt_timeout,
    };
    Some(shared?.breaker(name, settings))
}

fn by_name<'a>(providers: impl IntoIterator<Item = &'a Arc<UpstreamProvider>>) -> Providers {
    providers.into_iter().map(|provider| (provider.name().clone(), Arc::clone(provider))).collect()
}

fn upstream_settings(
    account: &AccountConfig,
    providers: &Providers,
    shared: Option<&Arc<Shared>>,
) -> Option<UpstreamSettings> {
    let settings = &account.settings;
    let provider = providers.get(&settings.provider)?;
    let in_store = |shared: &Arc<Shared>| {
        let in_store = SharedAccountSettings {
            balances: &settings.balance_keys(),
            answers_all_balances: provider.answers_all_balances(),
            per: provider.budget().per,
        };
        shared.account(&settings.name, in_store)
    };
    Some(UpstreamSettings {
        account: settings.name.clone(),
        provider: Arc::clone(provider),
        credential: account.credential.clone(),
        selectors: settings.balances.iter().map(|balance| balance.selector.clone()).collect(),
        max_age: settings.limits.max_age,
        shared: shared.map(in_store),
        is_enabled: settings.is_enabled,
    })
}

/// Whether the account authenticates differently than before: another credential, or another client certificate.
fn has_new_secret(account: &AccountConfig, config: &Config, before: &Config) -> bool {
    let mut accounts = before.accounts.iter();
    let same = accounts.find(|it| it.settings.name == account.settings.name);
    let client = |config| provider(config, &account.settings.provider).map(|it| &it.settings.client);
    let has_same_identity =
        client(config).zip(client(before)).is_some_and(|(new, old)| new.has_identity_of(old));
    same.is_none_or(|same| same.credential != account.credential) || !has_same_identity
}

fn provider<'a>(config: &'a Config, name: &ProviderName) -> Option<&'a ProviderConfig> {
    config.providers.iter().find(|provider| provider.settings.name == *name)
}
