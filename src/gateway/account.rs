//! One account: its balances, their limits, and its provider.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::SetOnce;

use super::lookup::BalanceSource;
use super::refusal::Refusal;
use crate::domain::{
    AccountName, AlertLevels, Answer, BalanceKey, Currency, Failure, Limits, ProviderName, ReadRequest,
    Selector, Snapshot,
};
use crate::upstream::Upstream;

/// The settings of an account.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Its configured name.
    pub name: AccountName,
    /// Its provider's configured name.
    pub provider: ProviderName,
    /// The provider's kind.
    pub kind: Arc<str>,
    /// Whether the provider's figures may lag, so that they are no proof right before a payment.
    pub lags: bool,
    /// False when the account or its provider is disabled.
    pub is_enabled: bool,
    /// The freshness limits of its balances.
    pub limits: Limits,
    /// The settings that decide whose balance the credential gives access to.
    pub identity: Vec<String>,
    /// Its balances; the first is the default.
    pub balances: Vec<BalanceSettings>,
    /// The interval of reads without a caller.
    pub watch: Option<Duration>,
}

/// The settings of a balance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalanceSettings {
    /// Selects the balance.
    pub selector: Selector,
    /// Its alert levels.
    pub alerts: AlertLevels,
}

impl AccountSettings {
    /// The cache keys of its balances, in the order of the settings.
    #[must_use]
    pub fn balance_keys(&self) -> Vec<BalanceKey> {
        let identity: Vec<&str> = self.identity.iter().map(String::as_str).collect();
        let key = |balance: &BalanceSettings| BalanceKey::new(&self.name, &identity, &balance.selector);
        self.balances.iter().map(key).collect()
    }
}

/// One account at run time.
#[derive(Debug)]
pub struct Account {
    settings: AccountSettings,
    balances: Vec<BalanceSlot>,
    pub(super) upstream: Arc<Upstream>,
    /// The account of the same name that a reload put in its place, because the identity changed. Reloads that keep the
    /// identity share this cell.
    pub(super) successor: Arc<SetOnce<Arc<Account>>>,
}

/// One balance of an account, with its cache key and its provider.
#[derive(Clone, Debug)]
pub struct BalanceSlot {
    /// Selects the balance.
    pub selector: Selector,
    /// Its alert levels.
    pub alerts: AlertLevels,
    pub(super) key: BalanceKey,
    pub(super) source: UpstreamBalance,
}

/// A balance at its provider: the account's upstream, and the index of the balance.
#[derive(Clone, Debug)]
pub(super) struct UpstreamBalance {
    upstream: Arc<Upstream>,
    index: usize,
    /// The keys of all balances of the account, in the order of the settings.
    keys: Arc<[BalanceKey]>,
}

impl BalanceSlot {
    /// Whether another slot is the same balance, with the same alert levels.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.key, &self.selector, self.alerts) == (other.key, &other.selector, other.alerts)
    }
}

/// The configured balance that a request selects.
#[derive(Debug)]
pub enum Selection<'a> {
    /// This balance.
    Found(&'a BalanceSlot),
    /// The account has none of this currency.
    UnsupportedCurrency,
    /// It has the currency, but not with this type.
    UnsupportedType,
}

impl Account {
    /// Makes the account. Its balances are numbered in the order of the settings, as in `upstream`.
    #[must_use]
    pub fn new(settings: AccountSettings, upstream: Arc<Upstream>) -> Self {
        let keys = settings.balance_keys();
        let all: Arc<[BalanceKey]> = keys.as_slice().into();
        let slot = |(index, (balance, key)): (usize, (&BalanceSettings, BalanceKey))| BalanceSlot {
            key,
            selector: balance.selector.clone(),
            alerts: balance.alerts,
            source: UpstreamBalance { upstream: Arc::clone(&upstream), index, keys: Arc::clone(&all) },
        };
        let balances = settings.balances.iter().zip(keys).enumerate().map(slot).collect();
        Self { settings, balances, upstream, successor: Arc::default() }
    }

    /// The same account, linked to the account before it if both have the same identity. So a later reload that changes
    /// the identity also reaches requests that already waited before this reload.
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        match before.filter(|before| before.has_identity_of(&self.settings)) {
            Some(before) => Self { successor: Arc::clone(&before.successor), ..self },
            None => self,
        }
    }

    /// Whether settings describe the same balances of the same identity; the secrets may differ.
    #[must_use]
    pub fn has_identity_of(&self, settings: &AccountSettings) -> bool {
        self.settings.identity == settings.identity
    }

    /// Its settings.
    pub(super) fn settings(&self) -> &AccountSettings {
        &self.settings
    }

    /// The slot of a configured balance.
    pub(super) fn slot(&self, selector: &Selector) -> Result<&BalanceSlot, Refusal> {
        self.balances.iter().find(|slot| slot.selector == *selector).ok_or(Refusal::Disabled)
    }

    /// Its upstream.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &AccountName {
        &self.settings.name
    }

    /// Its provider's configured name.
    #[must_use]
    pub fn provider(&self) -> &ProviderName {
        &self.settings.provider
    }

    /// The provider's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.settings.kind
    }

    /// Whether the provider's figures may lag.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.settings.lags
    }

    /// False when the account or its provider is disabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.settings.is_enabled
    }

    /// The freshness limits of its balances.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// The interval of reads without a caller.
    #[must_use]
    pub fn watch(&self) -> Option<Duration> {
        self.settings.watch
    }

    /// Its balances as configured; the first is the default.
    #[must_use]
    pub fn balances(&self) -> &[BalanceSlot] {
        &self.balances
    }

    /// The first configured balance that matches the given currency and type. A balance without filters matches only
    /// a request without both.
    #[must_use]
    pub fn select(&self, currency: Option<&str>, r#type: Option<&str>) -> Selection<'_> {
        let has_currency = |slot: &&BalanceSlot| {
            let configured = slot.selector.currency.as_ref().map(Currency::as_str);
            currency.is_none_or(|currency| configured == Some(currency))
        };
        let has_type = |slot: &&BalanceSlot| {
            let configured = slot.selector.r#type.as_ref().map(crate::domain::BalanceType::as_str);
            r#type.is_none_or(|r#type| configured == Some(r#type))
        };
        match self.balances.iter().find(|slot| has_currency(slot) && has_type(slot)) {
            Some(slot) => Selection::Found(slot),
            None if self.balances.iter().any(|slot| has_currency(&slot)) => Selection::UnsupportedType,
            None => Selection::UnsupportedCurrency,
        }
    }
}

impl BalanceSource for UpstreamBalance {
    fn read(&self, request: ReadRequest) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let Self { upstream, index, .. } = self.clone();
        async move { upstream.read(index, request).await }
    }

    fn brought_along(&self, answer: &Answer) -> Vec<(BalanceKey, Arc<Snapshot>)> {
        let others = self.upstream.brought_along(self.index, answer);
        others.into_iter().filter_map(|(index, snapshot)| Some((*self.keys.get(index)?, snapshot))).collect()
    }

    fn note_refused_by_hold(&self) {
        self.upstream.note_refused_by_hold();
    }

    fn longest_hold(&self, own: Failure, now: Instant) -> Failure {
        let known = self.upstream.longest_hold(self.index, now);
        known.filter(|known| known.retry_at > own.retry_at).unwrap_or(own)
    }
}
