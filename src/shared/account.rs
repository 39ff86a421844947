//! One account in the store: the names of its keys, and the checks of every answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::balance::SharedBalance;
use super::error::StoreError;
use super::known::{ClockDoubt, KnownState};
use super::store::{Answered, Store, StoreWait};
use super::tier::{Tier, life_of};
use crate::domain::{BalanceKey, StoreTime};
use crate::metrics::{SharedError, SharedOperation};

/// The most attempts of an operation. It is repeated if a new epoch has begun.
pub(super) const MOST_TRIES: u32 = 3;

/// The settings of an account in the store.
#[derive(Clone, Copy)]
pub struct SharedAccountSettings<'a> {
    /// The keys of its balances. Reads name a balance by its index.
    pub balances: &'a [BalanceKey],
    /// Whether every answer holds all balances: then the store counts the reads of all balances in one order.
    pub answers_all_balances: bool,
    /// The span of its budget, in which calls count.
    pub per: Duration,
}

/// One account in the store.
pub struct SharedAccount {
    pub(super) tier: Arc<Tier>,
    pub(super) state_key: String,
    pub(super) calls_key: String,
    pub(super) balances: Vec<Arc<SharedBalance>>,
    /// The name of the order that all balances share, if one read answers every balance. It is derived from the list of
    /// balances, so replicas with other balances use another order.
    common_order: Option<String>,
    /// The time after which its keys expire if nothing is written, in milliseconds.
    pub(super) life: u64,
    known: Arc<Mutex<KnownState>>,
}

impl SharedAccount {
    /// `before` is the same account with other settings: its knowledge and its unchanged balances are kept.
    pub(super) fn new(
        tier: &Arc<Tier>,
        account: &str,
        settings: SharedAccountSettings<'_>,
        before: Option<&Self>,
    ) -> Self {
        let tag = tier.keyring.name("account", &[account.as_bytes()]);
        let key = |what: &str| tier.key(&tag, what);
        let balance = |balance: &BalanceKey| {
            let kept = before.and_then(|before| before.balances.iter().find(|kept| kept.key == *balance));
            if let Some(kept) = kept {
                return Arc::clone(kept);
            }
            let name = tier.keyring.name("balance", &[balance.as_bytes()]);
            let (snapshot_key, seal) = (key(&name), tier.keyring.seal(balance, key(&name)));
            Arc::new(SharedBalance::new(*balance, name, snapshot_key, seal))
        };
        let balances: Vec<_> = settings.balances.iter().map(balance).collect();
        let names: Vec<_> = balances.iter().map(|balance| balance.name.as_bytes()).collect();
        let common_order = settings.answers_all_balances.then(|| tier.keyring.name("order", &names));
        Self {
            tier: Arc::clone(tier),
            state_key: key("state"),
            calls_key: key("calls"),
            balances,
            common_order,
            life: life_of(settings.per),
            known: before.map_or_else(Arc::default, |before| Arc::clone(&before.known)),
        }
    }

    pub(super) fn has_settings(&self, settings: SharedAccountSettings<'_>) -> bool {
        self.common_order.is_some() == settings.answers_all_balances
            && self.life == life_of(settings.per)
            && self.balances.iter().map(|balance| &balance.key).eq(settings.balances)
    }

    /// The name of the order in which the store counts the reads of a balance.
    pub(super) fn order(&self, index: usize) -> &str {
        self.common_order.as_deref().unwrap_or(&self.balances[index].name)
    }

    /// The names of the balances whose waiters are woken when a read of this balance ends.
    pub(super) fn woken(&self, index: usize) -> Vec<&str> {
        let is_woken = |at: &usize| self.common_order.is_some() || *at == index;
        let woken = self.balances.iter().enumerate().filter(|(at, _)| is_woken(at));
        woken.map(|(_, balance)| balance.name.as_str()).collect()
    }

    /// The highest number that was seen in the order of a balance.
    pub(super) fn highest(&self, index: usize) -> u64 {
        let is_counted = |at: &usize| self.common_order.is_some() || *at == index;
        let counted = self.balances.iter().enumerate().filter(|(at, _)| is_counted(at));
        counted.map(|(_, balance)| balance.note_number(0)).max().unwrap_or(0)
    }

    /// Whether this replica uses the store now.
    #[must_use]
    pub fn is_sharing(&self) -> bool {
        self.tier.is_sharing()
    }

    /// The time that one read may wait for the store.
    #[must_use]
    pub fn store_wait(&self) -> StoreWait {
        self.store().wait()
    }

    /// The number of replicas, by which a shared limit is divided into local shares.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.tier.replicas()
    }

    /// The name of a credential in the store.
    #[must_use]
    pub fn credential_name(&self, parts: &[&[u8]]) -> String {
        self.tier.keyring.name("credential", parts)
    }

    /// Checks the outcome of an operation: records the store's clock, and deletes keys that hold a value of a wrong
    /// type.
    pub(super) fn checked(
        &self,
        answered: Result<Answered, StoreError>,
        balance: Option<usize>,
    ) -> Result<Answered, StoreError> {
        match &answered {
            Ok(Answered { answer, sent, received }) => {
                let mut known = self.known();
                if let Some(since) = known.clock.note(answer.now, sent.monotonic, *received) {
                    known.doubt = Some(ClockDoubt { since, epoch: known.epoch.clone() });
                    known.pending += 1;
                    drop(known);
                    self.forget_numbers_after(answer.now);
                }
            }
            Err(StoreError(SharedError::Invalid)) => {
                let mut keys = vec![self.state_key.clone(), self.calls_key.clone()];
                keys.extend(balance.map(|balance| self.balances[balance].snapshot_key.clone()));
                self.tier.forget(keys);
            }
            // Another node may be the master now: this replica's calls are written again before the next one is taken.
            Err(_) => self.known().pending += 1,
        }
        answered
    }

    /// Forgets numbers above the bound of the scripts, [`StoreTime::latest_number`]: the store's clock was set back too
    /// far to give them again.
    pub(super) fn forget_numbers_after(&self, now: StoreTime) {
        for balance in &self.balances {
            balance.forget_numbers_above(now.latest_number());
        }
    }

    pub(super) fn protocol_error(&self, operation: SharedOperation) -> StoreError {
        self.store().metrics.failed(operation, SharedError::Protocol);
        StoreError(SharedError::Protocol)
    }

    pub(super) fn store(&self) -> &Store {
        &self.tier.store
    }

    pub(super) fn now(&self) -> Instant {
        (self.store().clock)().monotonic
    }

    /// The keys of the account's state and of its calls.
    pub(super) fn keys(&self) -> [&str; 2] {
        [&self.state_key, &self.calls_key]
    }

    pub(super) fn known(&self) -> MutexGuard<'_, KnownState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SharedAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedAccount").field("state", &self.state_key).finish_non_exhaustive()
    }
}
