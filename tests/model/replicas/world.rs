//! The replicas, the store between them, and one caller's way from the request's arrival to its answer.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretBox;
use tokio_util::sync::CancellationToken;

use super::chance::DEADLINE;
use super::clock::{CLOCKS, REPLICAS, store};
use super::log::{Given, What};
use super::provider::{Asking, Provider, upstream};
use super::schedule::{Action, BALANCES, Call, Schedule};
use crate::alone::clock;
use crate::alone::clock::Ms;
use crate::alone::request::directives;
use crate::alone::schedule::{Asks, NotBefore};
use crate::store::{Server, Told};
use balance_gateway::cache::BalanceCache;
use balance_gateway::domain::{AccountName, BalanceKey, Currency, Limits, Selector, StoreTime};
use balance_gateway::gateway::Lookup;
use balance_gateway::gateway::{Found, Refusal, RequestContext};
use balance_gateway::metrics::Metrics;
use balance_gateway::shared::{Shared, SharedSettings, StoreUrl};
use balance_gateway::upstream::Upstream;

pub(crate) struct World {
    replicas: Vec<Replica>,
    pub(crate) server: Arc<Server>,
    pub(crate) provider: Arc<Provider>,
    limits: Limits,
    callers: AtomicUsize,
    /// What the last invalidation of each balance returned: its number here, and the instant of the answer.
    invalidated: Mutex<[Option<(usize, jiff::Timestamp)>; BALANCES]>,
}

struct Replica {
    cache: BalanceCache,
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
}

/// A change to the text of a script: what stands there, and what is put in its place.
pub(crate) type Change = (&'static str, &'static str);

impl World {
    pub(crate) fn new(schedule: &Schedule, change: Option<Change>) -> Self {
        let provider = Arc::new(Provider::new(schedule.replies.clone(), REPLICAS));
        let metrics = Metrics::new("", "").unwrap();
        let of_store = metrics.shared().unwrap();
        let limits = schedule.ages.limits();
        let replica = |index: usize| {
            let clock = CLOCKS[index];
            let shared = Shared::new(settings(), clock, Arc::clone(&of_store)).unwrap();
            let (of_replica, in_store) = ((index, clock), (&shared, &metrics));
            let upstream = upstream(&provider, of_replica, in_store, schedule.budget, limits.max_age);
            let cache = BalanceCache::new(clock).sharing(&shared);
            Replica { cache, shared, upstream }
        };
        Self {
            replicas: (0..REPLICAS).map(replica).collect(),
            server: Server::new(
                store,
                schedule.seed,
                schedule.weathers.to_vec(),
                change.into_iter().collect(),
            ),
            provider: Arc::clone(&provider),
            limits,
            callers: AtomicUsize::new(0),
            invalidated: Mutex::default(),
        }
    }

    /// Keeps every replica's link until it is stopped.
    pub(crate) fn link(self: &Arc<Self>, links: [Ms; REPLICAS], stop: &CancellationToken) {
        for (replica, after) in links.into_iter().enumerate() {
            let (world, stop) = (Arc::clone(self), stop.clone());
            tokio::spawn(async move {
                clock::sleep(after).await;
                let notice = |told| {
                    world.write(match told {
                        Told::Connected => What::Linked { replica, stands: true },
                        Told::Broken => What::Linked { replica, stands: false },
                        Told::Marked { balance, number } => What::Told { replica, balance, mark: number },
                    });
                };
                let shared = Arc::clone(&world.replicas[replica].shared);
                Arc::clone(&world.server).link(replica, shared, notice, stop).await;
            });
        }
    }

    pub(crate) fn write(&self, what: What) {
        self.provider.log.write(what);
    }

    /// Does what is not a request.
    pub(crate) async fn happen(self: &Arc<Self>, action: Action) {
        let server = &self.server;
        match action {
            Action::Call(_) | Action::Poll { .. } | Action::Invalidate { .. } => {}
            Action::StepClock { whose, by } => super::clock::step(whose, by),
            Action::Freeze(length) => clock::freeze(length).await,
            Action::Weather { replica, weather } => server.set_weather(replica, weather),
            Action::Cut(replica) => server.cut(replica),
            Action::Stop(length) => {
                server.stop(true);
                let server = Arc::clone(server);
                tokio::spawn(async move {
                    clock::sleep(length).await;
                    server.stop(false);
                });
            }
            Action::Kill(length) => {
                server.kill();
                let server = Arc::clone(server);
                tokio::spawn(async move {
                    clock::sleep(length).await;
                    server.start();
                });
            }
            Action::Replicate => server.replicate(),
            Action::FailOver(by) => {
                server.fail_over();
                super::clock::step(super::clock::STORE, by);
            }
            Action::Fill(is_full) => server.fill(is_full),
            Action::WriteProtect(is_read_only) => server.write_protect(is_read_only),
        }
    }

    pub(crate) async fn invalidate(self: Arc<Self>, invalidation: usize, replica: usize, balance: usize) {
        self.write(What::Invalidating { invalidation, replica, balance });
        let cache = &self.replicas[replica].cache;
        let here = cache.invalidate(&[key(balance)]);
        let mark = cache.invalidate_everywhere(&[key(balance)]).await;
        let instant = mark.map_or(here.wall, StoreTime::timestamp);
        self.invalidated.lock().unwrap_or_else(PoisonError::into_inner)[balance] =
            Some((invalidation, instant));
        self.write(What::Invalidated { invalidation, mark: mark.map(StoreTime::as_micros) });
    }

    /// Asks again and again, without a demand.
    pub(crate) async fn poll(self: Arc<Self>, replica: usize, balance: usize, every: Ms, times: u32) {
        for _ in 0..times {
            let call = Call { replica, balance, asks: Asks::default(), wait: 2 * DEADLINE };
            Arc::clone(&self).call(call).await;
            clock::sleep(every).await;
        }
    }

    pub(crate) async fn call(self: Arc<Self>, call: Call) {
        let caller = self.callers.fetch_add(1, Ordering::Relaxed);
        let Replica { cache, upstream, .. } = &self.replicas[call.replica];
        let now = CLOCKS[call.replica];
        let arrived = now();
        let invalidated = self.invalidated.lock().unwrap_or_else(PoisonError::into_inner)[call.balance]
            .filter(|_| call.asks.not_before == Some(NotBefore::Invalidation));
        let not_before = match call.asks.not_before {
            Some(NotBefore::Ago(ago)) => arrived.wall.checked_sub(clock::duration(ago)).ok(),
            Some(NotBefore::Invalidation) => invalidated.map(|(_, instant)| instant),
            None => None,
        };
        let after = invalidated.map(|(invalidation, _)| invalidation);
        self.write(What::Arrived { caller, call: call.clone(), after });
        let source = Asking {
            upstream: Arc::clone(upstream),
            provider: Arc::clone(&self.provider),
            replica: call.replica,
            balance: call.balance,
            caller,
        };
        let lookup =
            Lookup { cache, clock: now, key: key(call.balance), limits: self.limits, source: &source };
        let context = RequestContext {
            arrived,
            directives: directives(&call.asks, not_before),
            deadline: arrived.monotonic + clock::duration(call.wait),
        };
        let served = lookup.serve(&context, |_| Ok(())).await;
        self.write(What::Answered { caller, given: given(served) });
    }
}

/// What the caller reads in the answer.
fn given(result: Result<(Found, std::time::Duration), Refusal>) -> Given {
    let (found, age) = match result {
        Ok(served) => served,
        Err(refusal) => return Given::Refused(refusal),
    };
    let body: serde_json::Value = serde_json::from_slice(found.snapshot.body()).unwrap();
    let amount = body["available"].as_str().unwrap().to_owned();
    Given::Served { amount, age: age.as_millis().try_into().unwrap(), via: found.via }
}

/// The currency of each balance.
pub(crate) const CODES: [&str; BALANCES] = ["BRL", "MXN"];

pub(crate) fn selector(balance: usize) -> Selector {
    Selector::of(Currency::parse(CODES[balance]).unwrap())
}

pub(crate) fn key(balance: usize) -> BalanceKey {
    BalanceKey::new(&AccountName::parse("a").unwrap(), &[], &selector(balance))
}

fn settings() -> SharedSettings {
    SharedSettings {
        url: StoreUrl::parse("redis://simulated").unwrap(),
        ca: None,
        keys: vec![Arc::new(SecretBox::new(Box::new([7; 32])))],
        prefix: "p".to_owned(),
        timeout: std::time::Duration::from_millis(30),
        replicas: NonZeroU32::new(3).unwrap(),
    }
}
