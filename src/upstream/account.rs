//! The upstream of one account: its credential, tokens, budget and holds, and what a reload keeps of them.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use jiff::Timestamp;

use super::credentials::{Credential, Credentials, Tokens};
use super::limits::{Gate, Holds};
use super::provider::UpstreamProvider;
use super::reads::WholeAnswers;
use crate::domain::{AccountName, Currency, Failure, MaxAge, Selector, Snapshot};
use crate::metrics::ReadRefusal;
use crate::shared::SharedAccount;

/// The settings of one account's upstream.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The account's configured name.
    pub account: AccountName,
    /// The account's provider.
    pub provider: Arc<UpstreamProvider>,
    /// The credential of its calls.
    pub credential: Credential,
    /// Its balances. [`Upstream::read`] takes an index into this list.
    pub selectors: Vec<Selector>,
    /// The oldest `Age` that an answer may carry.
    pub max_age: MaxAge,
    /// The account in the shared store, if there is one.
    pub shared: Option<Arc<SharedAccount>>,
    /// False when no call may be made for the account.
    pub is_enabled: bool,
}

/// Reads the balances of one account.
#[derive(Debug)]
pub struct Upstream {
    pub(super) account: AccountName,
    pub(super) provider: Arc<UpstreamProvider>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) balances: Vec<Balance>,
    pub(super) max_age: MaxAge,
    pub(super) tokens: Arc<Tokens<Self>>,
    pub(super) gate: Gate,
    pub(super) shared: Option<Arc<SharedAccount>>,
    /// Holds that concern every balance of the account.
    pub(super) holds: Arc<Holds>,
    pub(super) mismatch_logged: Arc<Mutex<Option<Instant>>>,
    pub(super) is_enabled: bool,
    /// Set if one answer holds every balance and the account has several.
    pub(super) whole: Option<Arc<WholeAnswers>>,
}

/// The result of a successful attempt.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) snapshot: Snapshot,
    /// When its request was sent, whatever `Age` its answer has.
    pub(super) sent_at: Instant,
}

/// The state of one balance.
#[derive(Debug)]
pub(super) struct Balance {
    pub(super) selector: Selector,
    /// The currency of the first answer; a later answer with another one is invalid.
    pub(super) first_currency: OnceLock<Currency>,
    pub(super) holds: Arc<Holds>,
}

impl Upstream {
    /// Creates the upstream of an account; no call is made yet.
    #[must_use]
    pub fn new(settings: UpstreamSettings) -> Self {
        let balance = |selector| Balance { selector, first_currency: OnceLock::new(), holds: Arc::default() };
        let is_whole =
            settings.provider.settings.adapter.answers_all_balances() && settings.selectors.len() > 1;
        Self {
            whole: is_whole.then(Arc::default),
            account: settings.account,
            gate: Gate::new(
                settings.provider.settings.budget,
                settings.shared.clone(),
                settings.provider.clock,
            ),
            shared: settings.shared,
            provider: settings.provider,
            credentials: Arc::new(Credentials::new(settings.credential)),
            balances: settings.selectors.into_iter().map(balance).collect(),
            max_age: settings.max_age,
            tokens: Arc::default(),
            holds: Arc::default(),
            mismatch_logged: Arc::default(),
            is_enabled: settings.is_enabled,
        }
    }

    /// The same account with other settings. Its budget and holds always stay, because they belong to its name. Its
    /// tokens stay if its identity does. Its credentials stay, the one before a rotation included, if secrets also go
    /// to the same place as before. Running reads are not disturbed.
    #[must_use]
    pub fn reconfigured(self: &Arc<Self>, settings: UpstreamSettings, keeps_identity: bool) -> Arc<Self> {
        let now = self.provider.now().monotonic;
        let keeps_identity = keeps_identity && self.credentials.is_like(&settings.credential);
        let keeps_credentials = keeps_identity && self.provider.authorises_like(&settings.provider);
        let is_other =
            if keeps_credentials { self.credentials.replace(settings.credential.clone(), now) } else { None };
        let [old, new] = [&self.provider, &settings.provider].map(|provider| &provider.settings.client);
        if is_other != Some(false) || !new.has_identity_of(old) {
            self.holds.end_refusals();
            settings.provider.reset_breaker();
        }
        let selectors = self.balances.iter().map(|balance| &balance.selector);
        if keeps_credentials
            && Arc::ptr_eq(&self.provider, &settings.provider)
            && selectors.eq(&settings.selectors)
            && self.max_age == settings.max_age
            && self.is_enabled == settings.is_enabled
            && self.shared.as_ref().map(Arc::as_ptr) == settings.shared.as_ref().map(Arc::as_ptr)
        {
            return Arc::clone(self);
        }
        let mut next = Self::new(settings);
        next.gate = self.gate.resized(next.provider.settings.budget, next.shared.clone());
        next.holds = Arc::clone(&self.holds);
        next.mismatch_logged = Arc::clone(&self.mismatch_logged);
        let old = self.balances.iter().map(|balance| &balance.selector);
        let has_same_balances = old.eq(next.balances.iter().map(|balance| &balance.selector));
        if keeps_identity && has_same_balances && next.whole.is_some() {
            next.whole.clone_from(&self.whole);
        }
        for balance in &mut next.balances {
            let Some(old) = self.balances.iter().find(|old| old.selector == balance.selector) else {
                continue;
            };
            balance.holds = Arc::clone(&old.holds);
            if keeps_identity {
                balance.first_currency = old.first_currency.clone();
            }
        }
        if keeps_identity {
            next.tokens = Arc::clone(&self.tokens);
        }
        if keeps_credentials {
            next.credentials = Arc::clone(&self.credentials);
        }
        let next = Arc::new(next);
        // The new upstream also renews tokens that running reads of the old one still request.
        next.tokens.renew_by(&next);
        if let Some(token) = next.tokens.live(now).filter(|_| next.is_enabled && !self.is_enabled) {
            next.renew_ahead(token);
        }
        next
    }

    /// Whether the newest credential was refused, and the one before it is in use.
    #[must_use]
    pub fn is_credential_rejected(&self) -> bool {
        self.credentials.is_rejected(self.provider.now().monotonic)
    }

    /// The most outgoing calls in any span of the budget.
    #[must_use]
    pub fn budget_limit(&self) -> u32 {
        self.gate.limit()
    }

    /// The outgoing calls that the budget still permits now.
    #[must_use]
    pub fn budget_remaining(&self) -> u32 {
        self.gate.remaining(self.provider.now().monotonic)
    }

    /// When the account's token expires; `None` if the gateway has requested none.
    #[must_use]
    pub fn token_expiry(&self) -> Option<Timestamp> {
        self.tokens.expiry()
    }

    /// The held failure that forbids a call for this balance now. Of several, the one that ends last.
    #[must_use]
    pub fn longest_hold(&self, index: usize, now: Instant) -> Option<Failure> {
        self.held(self.balances.get(index)?, now)
    }

    /// Counts a read that was refused because a failure is held.
    pub fn note_refused_by_hold(&self) {
        self.provider.metrics.refused(ReadRefusal::Hold);
    }
}
