//! The shared tier of one replica: finds accounts, breakers and units, and passes calls on to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::account::{SharedAccount, SharedAccountSettings};
use super::breaker::{SharedBreaker, SharedBreakerSettings};
use super::notified::Claim;
use super::places::BalancePlaces;
use super::settings::SharedSettings;
use super::tier::{OnEnd, OnMark, Tier};
use super::units::Units;
use super::units_in_use::UnitsInUse;
use crate::domain::{
    AccountName, BalanceKey, CallerName, Clock, LimitSettings, MaxAge, OrderState, ProviderName, Snapshot,
    StoreTime, Ticket,
};
use crate::metrics::{LimitPolicy, SharedMetrics};

/// The shared tier of one replica.
pub struct Shared {
    pub(super) tier: Arc<Tier>,
    pub(super) places: BalancePlaces,
    /// Each account by its name.
    pub(super) accounts: Mutex<HashMap<AccountName, Weak<SharedAccount>>>,
    /// Each provider's breaker by its name. The breakers of a refused reload stay until they are dropped.
    breakers: Mutex<Vec<(ProviderName, Weak<SharedBreaker>)>>,
    /// The limits of callers.
    pub(super) units: UnitsInUse,
}

impl Shared {
    /// Makes the tier; it connects in [`Shared::run`]. Returns `None` without a key.
    #[must_use]
    pub fn new(settings: SharedSettings, clock: Clock, metrics: Arc<SharedMetrics>) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            tier: Arc::new(Tier::new(settings, clock, metrics)?),
            places: BalancePlaces::default(),
            accounts: Mutex::default(),
            breakers: Mutex::default(),
            units: UnitsInUse::default(),
        }))
    }

    /// The number of replicas, by which a shared limit is divided into local shares.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.tier.replicas()
    }

    /// Whether this replica uses the store now.
    #[must_use]
    pub fn is_sharing(&self) -> bool {
        self.tier.is_sharing()
    }

    /// Whether units belong to this tier.
    #[must_use]
    pub fn has_units(&self, units: &Units) -> bool {
        units.are_of(&self.tier)
    }

    /// An account in the store. The counted calls belong to the account's name: they stay when its settings change.
    #[must_use]
    pub fn account(&self, name: &AccountName, settings: SharedAccountSettings<'_>) -> Arc<SharedAccount> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = accounts.get(name).and_then(Weak::upgrade);
        if let Some(account) = before.as_ref().filter(|account| account.has_settings(settings)) {
            return Arc::clone(account);
        }
        let account = Arc::new(SharedAccount::new(&self.tier, name.as_str(), settings, before.as_deref()));
        accounts.insert(name.clone(), Arc::downgrade(&account));
        self.places.add(&account);
        account
    }

    /// The breaker of a provider in the store.
    #[must_use]
    pub fn breaker(
        self: &Arc<Self>,
        provider: &ProviderName,
        settings: SharedBreakerSettings,
    ) -> Arc<SharedBreaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.retain(|(_, breaker)| breaker.strong_count() > 0);
        let mut known =
            breakers.iter().filter(|(name, _)| name == provider).filter_map(|(_, it)| it.upgrade());
        if let Some(breaker) = known.find(|breaker| breaker.settings == settings) {
            return breaker;
        }
        let breaker = Arc::new(SharedBreaker::new(&self.tier, provider.as_str(), settings));
        breakers.push((provider.clone(), Arc::downgrade(&breaker)));
        breaker
    }

    /// Every breaker that is in use.
    pub(super) fn breakers(&self) -> Vec<Arc<SharedBreaker>> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.iter().filter_map(|(_, breaker)| breaker.upgrade()).collect()
    }

    /// One limit of a caller in the store. A limit with other settings is another limit.
    #[must_use]
    pub fn units(
        self: &Arc<Self>,
        caller: &CallerName,
        policy: LimitPolicy,
        settings: LimitSettings,
    ) -> Arc<Units> {
        let units = Units::new(&self.tier, self.units.woken(), (caller, policy), settings);
        self.units.add(units)
    }

    /// Holds units for active callers; runs until its future is dropped.
    pub async fn keep_units(&self) {
        self.units.keep().await;
    }

    /// Sets the listener to invalidations by other replicas. The first listener stays.
    pub fn on_mark(&self, listener: OnMark) {
        self.tier.on_mark(listener);
    }

    /// Sets the listener to the ends of all replicas' reads. The first listener stays.
    pub fn on_end(&self, listener: OnEnd) {
        self.tier.on_end(listener);
    }

    /// The stored snapshot with this number or a higher one, if it may still be served. Causes no read.
    pub async fn stored(&self, key: &BalanceKey, number: u64, max_age: MaxAge) -> Option<Arc<Snapshot>> {
        let (account, index) = self.find_if_sharing(key)?;
        account.stored(index, Ticket { above: number.saturating_sub(1), ..Ticket::default() }, max_age).await
    }

    /// The state of a balance's order, read after this call began; `None` when the store is unavailable.
    pub async fn ticket(&self, key: &BalanceKey, max_age: MaxAge) -> Option<OrderState> {
        let (account, index) = self.find_if_sharing(key)?;
        account.ticket(index, max_age).await
    }

    /// Invalidates balances of one account, at this moment, for every replica, with at most one operation. Returns the
    /// instant of the invalidation by the store's clock: only later reads are acceptable.
    ///
    /// # Errors
    /// When the store is unavailable: the latest possible instant of its clock, if known. The invalidation is repeated
    /// in the background until the store has it, or until no older snapshot may be served.
    pub async fn invalidate(&self, keys: &[BalanceKey], at: Instant) -> Result<StoreTime, Option<StoreTime>> {
        let places = self.places_of(keys);
        self.tier.own_marks(at).extend(keys.iter().map(|key| (*key, at)));
        let Some((account, _)) = places.first() else { return Err(None) };
        account.invalidate(places.iter().map(|(_, index)| *index).collect(), at).await
    }

    /// Publishes a snapshot that this replica read without the store, because the store has an older one.
    pub fn publish_alone(&self, key: &BalanceKey, snapshot: Arc<Snapshot>, max_age: MaxAge) {
        if let Some((account, index)) = self.places.find_by_key(key) {
            account.publish_alone(index, snapshot, max_age);
        }
    }

    /// Claims a notification that came `since` ago for the account of a balance. All replicas together act once per
    /// `pause`; without the store, each acts for itself.
    pub async fn claim(&self, key: &BalanceKey, since: Duration, pause: Duration) -> Claim {
        match self.find_if_sharing(key) {
            Some((account, _)) => account.claim(since, pause).await,
            None => Claim::Ours,
        }
    }

    /// Waits until the running reads of a replaced tier have ended; each keeps its lease.
    pub async fn finish_reads(&self) {
        self.tier.finish_reads().await;
    }

    /// Returns every lease and all units of this replica, and waits for pending writes, such as the ends of calls.
    pub async fn leave(&self) {
        futures_util::join!(self.tier.give_up_leases(), self.units.give_back());
        self.tier.finish_tasks().await;
    }

    /// The index of a balance in its account, by the balance's name in the store.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.places.find_by_name(name).map(|(_, index)| index)
    }

    fn find_if_sharing(&self, key: &BalanceKey) -> Option<(Arc<SharedAccount>, usize)> {
        if self.is_sharing() { self.places.find_by_key(key) } else { None }
    }

    fn places_of(&self, keys: &[BalanceKey]) -> Vec<(Arc<SharedAccount>, usize)> {
        keys.iter().filter_map(|key| self.places.find_by_key(key)).collect()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("url", &self.tier.settings.url).finish_non_exhaustive()
    }
}
