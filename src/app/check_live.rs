//! The checks of `check --live`: one read of each balance (its amount is not shown), the issuer's keys, and the shared
//! store.

use std::time::Duration;

use crate::cache::BalanceCache;
use crate::clock;
use crate::config::Config;
use crate::domain::{AccountName, BalanceType, Currency, Directives};
use crate::gateway::{Refusal, RequestContext};
use crate::metrics::Metrics;
use crate::shared;

use super::assembly;
use super::build_info::{REVISION, VERSION};
use super::error::BuildError;

/// The result of one live read.
#[derive(Debug)]
pub struct LiveResult {
    /// The account.
    pub account: AccountName,
    /// The currency of the answer, or the configured one if the read failed.
    pub currency: Option<Currency>,
    /// The configured type.
    pub r#type: Option<BalanceType>,
    /// Why the read failed; `None` on success.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Reads every balance of every enabled account, one after the other.
///
/// # Errors
/// [`BuildError`] when a provider's HTTP client cannot be built.
pub async fn read_once(config: &Config) -> Result<Vec<LiveResult>, BuildError> {
    let metrics = Metrics::new(VERSION, REVISION)?;
    let gateway = assembly::gateway(config, clock::now, &metrics, None, BalanceCache::new(clock::now))?;
    let mut results = Vec::new();
    for account in gateway.accounts().filter(|account| account.is_enabled()) {
        for slot in account.balances() {
            let arrived = clock::now();
            let deadline = arrived.monotonic + config.server.request_timeout;
            let context = RequestContext { arrived, directives: Directives::default(), deadline };
            let found = gateway.balance(account, slot, &context, |_| Ok(())).await;
            results.push(LiveResult {
                account: account.name().clone(),
                currency: found
                    .as_ref()
                    .map(|found| found.snapshot.currency())
                    .ok()
                    .or(slot.selector.currency),
                r#type: slot.selector.r#type.clone(),
                failure: found.err().map(describe),
                took: clock::now().monotonic.saturating_duration_since(arrived.monotonic),
            });
        }
    }
    Ok(results)
}

/// The result of trying the shared store.
#[derive(Debug)]
pub struct StoreResult {
    /// The store's address, without user and password.
    pub store: String,
    /// The problems; empty if it is usable.
    pub failures: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Connects to the shared store and tests every permission that the gateway needs; `None` without a store.
pub async fn try_store(config: &Config) -> Option<StoreResult> {
    let settings = config.shared.as_ref()?;
    let began = clock::now().monotonic;
    let failures = shared::probe(settings).await;
    let took = clock::now().monotonic.saturating_duration_since(began);
    Some(StoreResult { store: settings.url.to_string(), failures, took })
}

/// The result of fetching the issuer's keys.
#[derive(Debug)]
pub struct IssuerResult {
    /// Why the fetch failed; `None` on success.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Fetches the keys of the issuer of service-account tokens; `None` unless the configuration gives a URL for them.
pub async fn try_issuer(config: &Config) -> Option<IssuerResult> {
    let began = clock::monotonic();
    let tried = super::kubernetes::try_keys(config).await?;
    let took = clock::monotonic().saturating_duration_since(began);
    Some(IssuerResult { failure: tried.err(), took })
}

fn describe(refusal: Refusal) -> String {
    match refusal {
        Refusal::Disabled => "switched off".to_owned(),
        Refusal::NotCached => "not cached".to_owned(),
        Refusal::DeadlineExceeded => "no answer within request_timeout".to_owned(),
        Refusal::ForcedLimit(_) => "the limit of forced reads is used up".to_owned(),
        Refusal::Failed(error, _) => error.to_string(),
    }
}
