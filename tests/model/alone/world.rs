//! The world of a schedule: the gateways' caches, their one provider, and the settings of the balances.

use std::sync::{Arc, Mutex, PoisonError};

use super::clock::{self, CLOCKS, GATEWAYS, Ms};
use super::log::{Ages, Place, What};
use super::provider::Provider;
use super::schedule::{BALANCES, Reply};
use balance_gateway::cache::BalanceCache;
use balance_gateway::domain::{AccountName, BalanceKey, FreshFor, Limits, MaxAge, Moment, Selector};

pub(crate) struct World {
    pub(crate) caches: [BalanceCache; GATEWAYS],
    pub(crate) provider: Arc<Provider>,
    balances: Mutex<[Balance; BALANCES]>,
}

#[derive(Clone, Copy)]
pub(crate) struct Balance {
    pub(crate) ages: Ages,
    pub(crate) identity: usize,
    /// The value that the last invalidation returned.
    pub(crate) invalidated: Option<Moment>,
}

impl World {
    pub(crate) fn new(ages: [Ages; BALANCES], replies: Vec<Reply>) -> Self {
        Self {
            caches: CLOCKS.map(BalanceCache::new),
            provider: Arc::new(Provider::new(replies)),
            balances: Mutex::new(ages.map(|ages| Balance { ages, identity: 0, invalidated: None })),
        }
    }

    pub(crate) fn write(&self, what: What) {
        self.provider.log.write(what);
    }

    /// Reads or changes a balance's configuration.
    pub(crate) fn with<T>(&self, balance: usize, change: impl FnOnce(&mut Balance) -> T) -> T {
        change(&mut self.balances.lock().unwrap_or_else(PoisonError::into_inner)[balance])
    }

    pub(crate) fn place(&self, gateway: usize, balance: usize) -> Place {
        Place { gateway, balance, identity: self.with(balance, |balance| balance.identity) }
    }

    pub(crate) fn invalidate(&self, gateway: usize, balance: usize) {
        let place = self.place(gateway, balance);
        let moment = self.caches[gateway].invalidate(&[place.key()]);
        self.with(balance, |balance| balance.invalidated = Some(moment));
        self.write(What::Invalidated(place));
    }

    pub(crate) async fn renew(&self, gateway: usize, balance: usize) {
        let place = self.place(gateway, balance);
        self.caches[gateway].forget_refusal(&place.key()).await;
        self.write(What::Forgotten(place));
    }

    pub(crate) fn step_wall(&self, gateway: usize, by: Ms) {
        clock::step(gateway, by);
        self.write(What::ClockJumped);
    }

    pub(crate) async fn freeze(&self, length: Ms) {
        clock::freeze(length).await;
        self.write(What::ClockJumped);
    }
}

impl Place {
    pub(crate) fn key(self) -> BalanceKey {
        let account = AccountName::parse(&format!("a{}", self.balance)).unwrap();
        BalanceKey::new(&account, &[&self.identity.to_string()], &Selector::default())
    }
}

impl Ages {
    pub(crate) fn limits(self) -> Limits {
        Limits {
            fresh_for: FreshFor::new(clock::duration(self.fresh_for)).unwrap(),
            max_age: MaxAge::new(clock::duration(self.max_age)).unwrap(),
        }
    }
}
