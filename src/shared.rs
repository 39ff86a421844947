//! The optional tier that several replicas share on Redis or Valkey: snapshots, the order of reads, invalidations,
//! budgets and holds. Without it nothing here runs; while the store is away each replica goes on alone.
//!
//! The rules that keep both promises across replicas stand where they are kept: ages and turns in `account.rs` and the
//! scripts, names and seals in `keyring.rs`, what may have been lost in `link.rs`.

mod account;
mod balance;
mod breaker;
mod calls;
mod clock;
mod connection;
mod enter;
mod failure;
mod keyring;
mod lease;
mod link;
mod notified;
mod probe;
mod read;
mod script;
mod settings;
mod store;
mod units;
mod url;

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use account::SharedAccount;
pub use breaker::{SharedAdmission, SharedBreaker, SharedBreakerSettings};
pub use calls::{Allowance, Unit};
pub use connection::{CONNECT_TIMEOUT, Commands};
pub use keyring::SharedKey;
pub use lease::{HoldScope, SharedHold};
pub use notified::Claim;
pub use probe::probe;
pub use read::{Errand, Outcome, Reader};
pub use settings::SharedSettings;
pub use store::{StoreWait, Trouble};
pub use units::{Taken, Units};
pub use url::StoreUrl;

use crate::domain::{
    AccountName, BalanceKey, CallerName, Clock, LimitSettings, MaxAge, ProviderName, Snapshot, Standing,
    StoreTime, Ticket,
};
use crate::metrics::{LimitPolicy, SharedError, SharedMetrics};

use account::LIFE;
use keyring::Keyring;
use lease::LiveLease;
use script::Action;
use store::Store;

/// What is told of an invalidation: the balance, and its mark.
type OnMark = Box<dyn Fn(BalanceKey, u64) + Send + Sync>;
/// Hears of the end of a read: the balance, and the read's number.
type OnEnd = Box<dyn Fn(BalanceKey, u64) + Send + Sync>;

/// The shared tier of one replica.
pub struct Shared {
    settings: SharedSettings,
    keyring: Keyring,
    channel: String,
    store: Store,
    /// Each balance by its name in the store, and so in an order that is the same every time.
    balances: RwLock<BTreeMap<String, Place>>,
    /// Each balance's place by its key.
    places: RwLock<HashMap<BalanceKey, Place>>,
    /// Each account by its name.
    accounts: Mutex<HashMap<AccountName, Weak<SharedAccount>>>,
    /// Each provider's breaker by its name.
    /// Those of a reload that is refused are among them until they are dropped.
    breakers: Mutex<Vec<(ProviderName, Weak<SharedBreaker>)>>,
    on_mark: OnceLock<OnMark>,
    on_end: OnceLock<OnEnd>,
    /// Invalidations of this replica, to be told again to a store that may have lost them.
    own_marks: Mutex<HashMap<BalanceKey, Instant>>,
    /// Told when this replica is alone.
    silenced: Notify,
    /// Leases of this replica that have not ended, by their token.
    leases: Mutex<HashMap<String, LiveLease>>,
    /// What is told to the store behind whoever caused it.
    tasks: TaskTracker,
    /// The limits of callers.
    units: Mutex<Vec<Weak<Units>>>,
    /// Told when one of them is asked for again.
    units_woken: Notify,
}

/// The store is of no use now: whoever needed it goes on alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

impl From<Trouble> for Away {
    fn from(_: Trouble) -> Self {
        Self
    }
}

/// Where a balance is in the store.
#[derive(Clone)]
struct Place {
    account: Weak<SharedAccount>,
    index: usize,
}

impl Shared {
    /// Makes the tier; nobody is asked before [`Shared::run`]. `None` without a key.
    #[must_use]
    pub fn new(settings: SharedSettings, clock: Clock, metrics: Arc<SharedMetrics>) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            keyring: Keyring::new(&settings.keys)?,
            channel: settings.channel(),
            store: Store::new(settings.timeout, clock, metrics),
            balances: RwLock::default(),
            places: RwLock::default(),
            accounts: Mutex::default(),
            breakers: Mutex::default(),
            on_mark: OnceLock::new(),
            on_end: OnceLock::new(),
            own_marks: Mutex::default(),
            silenced: Notify::new(),
            leases: Mutex::default(),
            tasks: TaskTracker::new(),
            units: Mutex::default(),
            units_woken: Notify::new(),
            settings,
        }))
    }

    /// How many replicas there are, for what each may do alone.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.settings.replicas.get()
    }

    /// Whether the store is asked at all now.
    #[must_use]
    pub fn is_sharing(&self) -> bool {
        self.store.is_sharing()
    }

    /// An account in the store, and its balances in the order in which reads count them. The calls that count stay with
    /// its name, whatever balances it has.
    #[must_use]
    pub fn account(self: &Arc<Self>, name: &AccountName, balances: &[BalanceKey]) -> Arc<SharedAccount> {
        self.account_in(name, balances, false)
    }

    /// As [`Self::account`], where one read brings every balance: the store orders the reads of all as one.
    #[must_use]
    pub fn account_read_together(
        self: &Arc<Self>,
        name: &AccountName,
        balances: &[BalanceKey],
    ) -> Arc<SharedAccount> {
        self.account_in(name, balances, true)
    }

    fn account_in(
        self: &Arc<Self>,
        name: &AccountName,
        balances: &[BalanceKey],
        reads_together: bool,
    ) -> Arc<SharedAccount> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = accounts.get(name).and_then(Weak::upgrade);
        if let Some(account) =
            before.as_ref().filter(|account| account.has_balances(balances, reads_together))
        {
            return Arc::clone(account);
        }
        let account =
            Arc::new(SharedAccount::new(self, name.as_str(), balances, reads_together, before.as_deref()));
        accounts.insert(name.clone(), Arc::downgrade(&account));
        let mut names = self.balances.write().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.places.write().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, place| place.account.strong_count() > 0);
        keys.retain(|_, place| place.account.strong_count() > 0);
        for (index, balance) in account.balances.iter().enumerate() {
            let place = Place { account: Arc::downgrade(&account), index };
            names.insert(balance.name.clone(), place.clone());
            keys.insert(balance.key, place);
        }
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
        let breaker = Arc::new(SharedBreaker::new(self, provider.as_str(), settings));
        breakers.push((provider.clone(), Arc::downgrade(&breaker)));
        breaker
    }

    /// Every breaker that is in use.
    fn breakers(&self) -> Vec<Arc<SharedBreaker>> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.iter().filter_map(|(_, breaker)| breaker.upgrade()).collect()
    }

    /// One limit of a caller in the store. A limit of other numbers is another one.
    #[must_use]
    pub fn units(
        self: &Arc<Self>,
        caller: &CallerName,
        policy: LimitPolicy,
        settings: LimitSettings,
    ) -> Arc<Units> {
        let units = Arc::new(Units::new(self, caller, policy, settings));
        let mut all = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|units| units.strong_count() > 0);
        all.push(Arc::downgrade(&units));
        units
    }

    /// Tells `listener` of every invalidation by another replica. The first listener stays.
    pub fn on_mark(&self, listener: OnMark) {
        let _ = self.on_mark.set(listener);
    }

    /// Tells `listener` of the end of every read, at whichever replica. The first listener stays.
    pub fn on_end(&self, listener: OnEnd) {
        let _ = self.on_end.set(listener);
    }

    /// The stored snapshot of this number or a later one, if it may still be served. Nobody reads because of it.
    pub async fn stored(&self, key: &BalanceKey, number: u64, max_age: MaxAge) -> Option<Arc<Snapshot>> {
        if !self.is_sharing() {
            return None;
        }
        let (account, index) = self.find(key)?;
        account.stored(index, Ticket { above: number.saturating_sub(1), ..Ticket::default() }, max_age).await
    }

    /// Where the reads of a balance stand after this call began; `None` when the store is of no use now.
    pub async fn ticket(&self, key: &BalanceKey, max_age: MaxAge) -> Option<Standing> {
        if !self.is_sharing() {
            return None;
        }
        let (account, index) = self.find(key)?;
        let looked = self.look(&account, index).await.ok()?;
        // A store that has lost something does not know of all.
        account.balances[index].note_number(looked.last);
        let last = account.highest(index);
        let is_believed = account.is_clock_trusted(max_age);
        Some(Standing { last, now: looked.now, is_believed })
    }

    /// Invalidates balances of one account for every replica: the store's instant from which reads must be. Waits at
    /// most as long as one operation may take.
    ///
    /// # Errors
    /// What the store's clock says by now at the latest, if that is known, when the store is of no use. It is told
    /// again until it knows, or nothing from before could be served any more.
    pub async fn invalidate(self: &Arc<Self>, keys: &[BalanceKey]) -> Result<StoreTime, Option<StoreTime>> {
        let now = (self.store.clock)().monotonic;
        {
            let mut own = self.own_marks();
            own.retain(|_, at| now.saturating_duration_since(*at) < MaxAge::CEILING.get());
            own.extend(keys.iter().map(|key| (*key, now)));
        }
        if let Ok(marked) = self.mark(keys).await {
            return Ok(marked);
        }
        let (shared, again) = (Arc::clone(self), keys.to_vec());
        self.behind(async move { shared.mark_again(&again, now).await });
        let account = keys.first().and_then(|key| self.find(key));
        Err(account.and_then(|(account, _)| account.known().clock.latest(account.now())))
    }

    /// Tells the store of invalidations of this moment until it knows of them.
    async fn mark_again(&self, keys: &[BalanceKey], at: Instant) {
        while (self.store.clock)().monotonic.saturating_duration_since(at) < MaxAge::CEILING.get() {
            if let Ok(marked) = self.mark(keys).await {
                for key in keys {
                    self.tell_mark(*key, marked.as_micros());
                }
                return;
            }
            tokio::time::sleep(PING_INTERVAL).await;
        }
    }

    fn own_marks(&self) -> MutexGuard<'_, HashMap<BalanceKey, Instant>> {
        self.own_marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn mark(&self, keys: &[BalanceKey]) -> Result<StoreTime, Trouble> {
        let places: Vec<_> = keys.iter().filter_map(|key| self.find(key)).collect();
        let (account, _) = places.first().ok_or(Trouble(SharedError::Connect))?;
        let balances: Vec<_> = places.iter().map(|(account, index)| &account.balances[*index]).collect();
        let ask = InvalidateAsk {
            channel: &self.channel,
            life: LIFE,
            balances: balances.iter().map(|balance| balance.name.as_str()).collect(),
            orders: places.iter().map(|(account, index)| account.order(*index)).collect(),
            highest: places.iter().map(|(account, index)| account.highest(*index)).collect(),
        };
        let mut in_store = vec![account.state_key.as_str()];
        in_store.extend(balances.iter().map(|balance| balance.snapshot_key.as_str()));
        let answered = self.store.run(Action::Invalidate, &in_store, &ask, &mut self.store.wait()).await;
        let answered = account.checked(answered, None)?;
        Ok(StoreTime::from_micros(answered.answer.number(0)?))
    }

    async fn look(&self, account: &SharedAccount, index: usize) -> Result<Looked, Trouble> {
        let balance = &account.balances[index];
        let keys = [account.state_key.as_str(), &balance.snapshot_key];
        let ask = LookAsk { balance: &balance.name, order: account.order(index), wants_snapshot: false };
        let answered = self.store.run(Action::Look, &keys, &ask, &mut self.store.wait()).await;
        let answer = account.checked(answered, None)?.answer;
        Ok(Looked { last: answer.number(0)?, mark: answer.number(1)?, now: answer.now })
    }

    /// Tells the store again of this replica's invalidations of these balances.
    fn mark_again_all(self: &Arc<Self>, keys: impl Iterator<Item = BalanceKey>) {
        let own = self.own_marks().clone();
        for (key, at) in keys.filter_map(|key| Some((key, *own.get(&key)?))) {
            let shared = Arc::clone(self);
            self.behind(async move { shared.mark_again(&[key], at).await });
        }
    }

    /// Goes on behind whoever began it; when everything ends, so does this.
    fn behind(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.spawn_on(task, &runtime);
        }
    }

    /// Deletes what cannot be understood; behind whoever found it.
    fn forget(self: &Arc<Self>, keys: Vec<String>) {
        let shared = Arc::clone(self);
        self.behind(async move {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            // What is not deleted is found again.
            let _ = shared.store.run(Action::Forget, &keys, &ForgetAsk {}, &mut shared.store.wait()).await;
        });
    }

    /// Waits until the reads that run have ended, for a tier that another one replaces: each keeps its lease.
    pub async fn finish_reads(&self) {
        let finished = async {
            while !self.leases().is_empty() {
                tokio::time::sleep(FINISH_INTERVAL).await;
            }
        };
        // No read takes longer: the configuration does not allow it.
        let _ = tokio::time::timeout(MaxAge::CEILING.get(), finished).await;
        self.tasks.close();
        let _ = tokio::time::timeout(self.settings.timeout, self.tasks.wait()).await;
    }

    /// Gives up every lease and all units of this replica, and tells the store what has just ended.
    pub async fn leave(&self) {
        let leases = std::mem::take(&mut *self.leases());
        let leases = leases.iter().map(|(token, lease)| lease.give_up(token));
        let units: Vec<_> = self.all_units();
        let units = units.iter().map(|units| units.give_back());
        futures_util::join!(futures_util::future::join_all(leases), futures_util::future::join_all(units));
        self.tasks.close();
        // What is not told by then is found out: a lease is over after a deadline.
        let _ = tokio::time::timeout(self.settings.timeout, self.tasks.wait()).await;
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, LiveLease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when this replica is alone.
    async fn silence(&self) {
        let mut silenced = pin!(self.silenced.notified());
        // Before the look, so that nothing happens in between.
        silenced.as_mut().enable();
        if self.is_sharing() {
            silenced.await;
        }
    }

    /// A key of the store: whatever belongs together has one tag, and so one slot of a cluster.
    fn key(&self, tag: &str, what: &str) -> String {
        format!("{}:1:{{{tag}}}:{what}", self.settings.prefix)
    }

    fn find(&self, key: &BalanceKey) -> Option<(Arc<SharedAccount>, usize)> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let place = places.get(key)?;
        Some((place.account.upgrade()?, place.index))
    }

    /// A balance's place among its account's, by its name in the store.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.find_by_name(name).map(|(_, index)| index)
    }

    fn find_by_name(&self, name: &str) -> Option<(Arc<SharedAccount>, usize)> {
        let balances = self.balances.read().unwrap_or_else(PoisonError::into_inner);
        let place = balances.get(name)?;
        Some((place.account.upgrade()?, place.index))
    }
}

#[derive(Serialize)]
struct LookAsk<'a> {
    balance: &'a str,
    order: &'a str,
    wants_snapshot: bool,
}

#[derive(Serialize)]
struct InvalidateAsk<'a> {
    channel: &'a str,
    life: u64,
    balances: Vec<&'a str>,
    orders: Vec<&'a str>,
    highest: Vec<u64>,
}

#[derive(Serialize)]
struct ForgetAsk {}

/// What is known of a balance in the store.
struct Looked {
    last: u64,
    mark: u64,
    now: StoreTime,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

/// How often a tier that is replaced looks for reads that run.
const FINISH_INTERVAL: Duration = Duration::from_millis(50);
/// How long a connection may say nothing, and how often it is asked to.
const SILENCE: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(1);
