//! One account: its balances, their limits, and the way to its provider.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SetOnce;

use super::lookup::Source;
use super::refusal::Refusal;
use crate::domain::{
    AccountName, AlertLevels, Answer, BalanceKey, Currency, Limits, Order, ProviderName, Selector,
};
use crate::upstream::Upstream;

/// What an account is made from.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Our name for it.
    pub name: AccountName,
    /// Its provider's configured name.
    pub provider: ProviderName,
    /// The provider's kind, for people.
    pub kind: Arc<str>,
    /// Whether the provider's figures may lag behind, so that they prove nothing right before a payment.
    pub lags: bool,
    /// False when the account or its provider is switched off.
    pub is_enabled: bool,
    /// How old its balances may be.
    pub limits: Limits,
    /// Whatever decides whose balance the credential shows.
    pub identity: Vec<String>,
    /// Its balances; the first is the default.
    pub balances: Vec<BalanceSettings>,
    /// How often they are read without a caller.
    pub watch: Option<Duration>,
}

/// What a balance is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalanceSettings {
    /// Which balance is meant.
    pub selector: Selector,
    /// When somebody should look at it.
    pub alerts: AlertLevels,
}

impl AccountSettings {
    /// What each of its balances is stored under, in their order.
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
    /// The account of the same name and another identity that has taken its place.
    pub(super) successor: SetOnce<Arc<Account>>,
}

/// One balance of an account: what it is, where it is stored, and whom to ask for it.
#[derive(Clone, Debug)]
pub struct BalanceSlot {
    /// Which balance is meant.
    pub selector: Selector,
    /// When somebody should look at it.
    pub alerts: AlertLevels,
    pub(super) key: BalanceKey,
    pub(super) source: UpstreamBalance,
}

/// A balance at its provider: the account's way there, and its place in the account.
#[derive(Clone, Debug)]
pub(super) struct UpstreamBalance {
    upstream: Arc<Upstream>,
    index: usize,
}

impl BalanceSlot {
    /// Whether another slot is the same balance, with the same alert levels.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.key, &self.selector, self.alerts) == (other.key, &other.selector, other.alerts)
    }
}

/// Which configured balance a caller's words choose.
#[derive(Debug)]
pub enum Selection<'a> {
    /// This one.
    Found(&'a BalanceSlot),
    /// The account has none of this currency.
    UnsupportedCurrency,
    /// It has the currency, but not with this type.
    UnsupportedType,
}

impl Account {
    /// Makes the account; its balances are counted in the order of the settings, as `upstream` does.
    #[must_use]
    pub fn new(settings: AccountSettings, upstream: Arc<Upstream>) -> Self {
        let keys = settings.balance_keys();
        let slot = |(index, (balance, key)): (usize, (&BalanceSettings, BalanceKey))| BalanceSlot {
            key,
            selector: balance.selector.clone(),
            alerts: balance.alerts,
            source: UpstreamBalance { upstream: Arc::clone(&upstream), index },
        };
        let balances = settings.balances.iter().zip(keys).enumerate().map(slot).collect();
        Self { settings, balances, upstream, successor: SetOnce::new() }
    }

    /// Whether settings mean the same balances at the same place, whatever proves that we may see them.
    #[must_use]
    pub fn has_identity_of(&self, settings: &AccountSettings) -> bool {
        self.settings.identity == settings.identity
    }

    /// What it was made from.
    pub(super) fn settings(&self) -> &AccountSettings {
        &self.settings
    }

    /// Its balance for these words of the configuration.
    pub(super) fn slot(&self, selector: &Selector) -> Result<&BalanceSlot, Refusal> {
        self.balances.iter().find(|slot| slot.selector == *selector).ok_or(Refusal::Disabled)
    }

    /// The way to its provider.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Our name for it.
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

    /// Whether the provider's figures may lag behind.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.settings.lags
    }

    /// False when the account or its provider is switched off.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.settings.is_enabled
    }

    /// How old its balances may be.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// How often its balances are read without a caller.
    #[must_use]
    pub fn watch(&self) -> Option<Duration> {
        self.settings.watch
    }

    /// Its balances as configured; the first is the default.
    #[must_use]
    pub fn balances(&self) -> &[BalanceSlot] {
        &self.balances
    }

    /// The first configured balance that matches what is given. One that is asked without filters matches nothing
    /// but the absence of both.
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

impl Source for UpstreamBalance {
    fn read(&self, order: Order) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let Self { upstream, index } = self.clone();
        async move { upstream.read(index, order).await }
    }

    fn note_refused_by_hold(&self) {
        self.upstream.note_refused_by_hold();
    }
}
