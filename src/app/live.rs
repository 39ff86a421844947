//! What `check --live` tries: each balance once (whether it works, never how much it is), the issuer's keys, and the
//! shared store.

use std::time::Duration;

use crate::cache::BalanceCache;
use crate::clock;
use crate::config::Config;
use crate::domain::{AccountName, BalanceType, Currency, Wish};
use crate::gateway::{Asked, Refusal};
use crate::metrics::Metrics;
use crate::shared;

use super::assembly;
use super::build_info::{REVISION, VERSION};
use super::error::BuildError;

/// How one live read went.
#[derive(Debug)]
pub struct LiveResult {
    /// The account.
    pub account: AccountName,
    /// The currency that came back, or the configured one.
    pub currency: Option<Currency>,
    /// The configured type.
    pub r#type: Option<BalanceType>,
    /// Why there is no balance; `None` when it came.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Reads every balance of every enabled account, one after the other.
///
/// # Errors
/// [`BuildError`] when a provider's client cannot be made.
pub async fn read_once(config: &Config) -> Result<Vec<LiveResult>, BuildError> {
    let metrics = Metrics::new(VERSION, REVISION)?;
    let gateway = assembly::gateway(config, &metrics, None, BalanceCache::new(clock::now))?;
    let mut results = Vec::new();
    for account in gateway.accounts().filter(|account| account.is_enabled()) {
        for slot in account.balances() {
            let arrived = clock::now();
            let deadline = arrived.monotonic + config.server.request_timeout;
            let asked = Asked { arrived, wish: Wish::default(), deadline };
            let found = gateway.balance(account, slot, &asked, |_| Ok(())).await;
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

/// What was found of the shared store.
#[derive(Debug)]
pub struct StoreResult {
    /// Where it is, without user and password.
    pub store: String,
    /// What is wrong; nothing when it can be used.
    pub failures: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Tries the shared store and every right that is needed there; `None` without one.
pub async fn try_store(config: &Config) -> Option<StoreResult> {
    let settings = config.shared.as_ref()?;
    let began = clock::now().monotonic;
    let failures = shared::probe(settings).await;
    let took = clock::now().monotonic.saturating_duration_since(began);
    Some(StoreResult { store: settings.url.to_string(), failures, took })
}

/// How the issuer's keys came.
#[derive(Debug)]
pub struct IssuerResult {
    /// Why there are none; `None` when they came.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Asks the issuer of service-account tokens for its keys; `None` where nobody asks for them.
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
        Refusal::ForcedLimit(_) => "the limit of forced reads is spent".to_owned(),
        Refusal::Failed(error, _) => error.to_string(),
    }
}
