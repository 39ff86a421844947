//! The replicas, the store that they share, and one caller's path from the request's arrival to its answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::chance::DEADLINE;
use super::clock::{CLOCKS, REPLICAS, store};
use super::limit::Spender;
use super::log::{Given, What};
use super::provider::{Asking, Provider, upstream};
use super::schedule::{Action, BALANCES, Call, Schedule, Stream};
use crate::alone::clock;
use crate::alone::clock::Ms;
use crate::alone::request::directives;
use crate::alone::schedule::{Asks, NotBefore};
use crate::store::{Server, Told, settings};
use balance_gateway::cache::BalanceCache;
use balance_gateway::domain::{
    AccountName, BalanceKey, Clock, Currency, Limits, ProviderName, Selector, StoreTime,
};
use balance_gateway::gateway::{
    Account, AccountSettings, BalanceSettings, Event, Found, Gateway, Lookup, Refusal, RequestContext,
};
use balance_gateway::metrics::Metrics;
use balance_gateway::shared::Shared;
use balance_gateway::upstream::Upstream;

pub(crate) struct World {
    replicas: Vec<Replica>,
    pub(crate) server: Arc<Server>,
    pub(crate) provider: Arc<Provider>,
    limits: Limits,
    settle: Ms,
    callers: AtomicUsize,
    streams: AtomicUsize,
    /// The last invalidation of each balance: its number in the schedule, and the instant that it returned.
    invalidated: Mutex<[Option<(usize, jiff::Timestamp)>; BALANCES]>,
}

struct Replica {
    cache: BalanceCache,
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    gateway: Arc<Gateway>,
    spender: Spender,
}

/// A change to the text of a script: the text, and its replacement.
pub(crate) type Change = (&'static str, &'static str);

impl World {
    pub(crate) fn new(schedule: &Schedule, changes: &[Change]) -> Self {
        let provider = Arc::new(Provider::new(schedule.replies.clone(), REPLICAS));
        let metrics = Metrics::new("", "").unwrap();
        let of_store = metrics.shared().unwrap();
        let limits = schedule.ages.limits();
        let replica = |index: usize| {
            let clock = CLOCKS[index];
            let shared =
                Shared::new(settings(clock::duration(TIMEOUT)), clock, Arc::clone(&of_store)).unwrap();
            let (of_replica, in_store) = ((index, clock), (&shared, &metrics));
            let upstream = upstream(&provider, of_replica, in_store, schedule.budget, limits.max_age);
            let cache = BalanceCache::new(clock).with_shared_store(&shared);
            let gateway = Arc::new(gateway(&upstream, &cache, clock, limits));
            let spender = Spender::new(&shared, schedule.limit, clock);
            Replica { cache, shared, upstream, gateway, spender }
        };
        Self {
            replicas: (0..REPLICAS).map(replica).collect(),
            server: Server::new(store, schedule.seed, schedule.weathers.to_vec(), changes.to_vec()),
            provider: Arc::clone(&provider),
            limits,
            settle: schedule.settle,
            callers: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
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
                let (keeping, end) = (Arc::clone(&shared), stop.clone());
                tokio::spawn(async move { end.run_until_cancelled(keeping.keep_units()).await });
                Arc::clone(&world.server).link(replica, shared, notice, stop).await;
            });
        }
    }

    pub(crate) fn write(&self, what: What) {
        self.provider.log.write(what);
    }

    /// Performs an action that is not a request.
    pub(crate) async fn happen(self: &Arc<Self>, action: Action) {
        let server = &self.server;
        if !matches!(action, Action::Replicate | Action::Weather { .. } | Action::Notify { .. }) {
            self.write(What::Disturbed);
        }
        match action {
            Action::Call(_)
            | Action::Poll { .. }
            | Action::Invalidate { .. }
            | Action::Stream(_)
            | Action::Spend { .. } => {}
            Action::Notify { replica } => self.notify(replica),
            Action::StepClock { whose, by } => super::clock::step(whose, by),
            Action::Freeze(length) => clock::freeze(length).await,
            Action::Weather { replica, weather } => {
                server.set_weather(replica, weather);
                self.write(What::Weather { replica, is_calm: weather.is_calm() });
            }
            Action::Cut(replica) => server.cut(replica),
            Action::Stop(length) => {
                server.stop(true);
                let (world, server) = (Arc::clone(self), Arc::clone(server));
                tokio::spawn(async move {
                    clock::sleep(length).await;
                    world.write(What::Disturbed);
                    server.stop(false);
                });
            }
            Action::Kill(length) => {
                server.kill();
                let (world, server) = (Arc::clone(self), Arc::clone(server));
                tokio::spawn(async move {
                    clock::sleep(length).await;
                    world.write(What::Disturbed);
                    server.start();
                });
            }
            Action::Replicate => server.replicate(),
            Action::FailOver(by) => {
                server.fail_over();
                super::clock::step(super::clock::STORE, by);
            }
            Action::Evict(ending) => server.evict(ending),
            Action::Fill(is_full) => server.fill(is_full),
            Action::WriteProtect(is_read_only) => server.write_protect(is_read_only),
        }
    }

    pub(crate) async fn invalidate(self: Arc<Self>, invalidation: usize, replica: usize, balance: usize) {
        self.write(What::Invalidating { invalidation, replica, balance });
        let cache = &self.replicas[replica].cache;
        let here = cache.invalidate(&[key(balance)]);
        let mark = cache.invalidate_everywhere(&[key(balance)], here.monotonic).await;
        let instant = mark.map_or(here.wall, StoreTime::timestamp);
        self.invalidated.lock().unwrap_or_else(PoisonError::into_inner)[balance] =
            Some((invalidation, instant));
        self.write(What::Invalidated { invalidation, mark: mark.map(StoreTime::as_micros) });
    }

    /// Sends requests without a demand, again and again.
    pub(crate) async fn poll(self: Arc<Self>, replica: usize, balance: usize, every: Ms, times: u32) {
        for _ in 0..times {
            let call = Call { replica, balance, asks: Asks::default(), wait: 2 * DEADLINE, takes: 0 };
            Arc::clone(&self).call(call).await;
            clock::sleep(every).await;
        }
    }

    fn notify(&self, replica: usize) {
        self.write(What::Notified);
        let gateway = &self.replicas[replica].gateway;
        gateway.notified(gateway.account("a").unwrap(), clock::duration(self.settle));
    }

    /// Requests units of the caller's limit, again and again.
    pub(crate) async fn spend(self: Arc<Self>, replica: usize, cost: u32, every: Ms, times: u32) {
        for _ in 0..times {
            let (units, is_local) = self.replicas[replica].spender.take(cost);
            self.write(What::Spent { replica, cost, units, is_local });
            clock::sleep(every).await;
        }
    }

    /// Follows a balance as an event stream does: a look-up first, and then each event when the client reads.
    pub(crate) async fn stream(self: Arc<Self>, of: Stream) {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        self.write(What::Opened { stream, of: of.clone() });
        let Replica { gateway, .. } = &self.replicas[of.replica];
        let account = gateway.account("a").unwrap();
        let slot = &account.balances()[of.balance];
        let subscription = Arc::new(gateway.subscribe([(&**account, slot)], clock::duration(of.refresh)));
        let (world, current) = (Arc::clone(&self), Arc::clone(&subscription));
        let call = Call {
            replica: of.replica,
            balance: of.balance,
            asks: Asks::default(),
            wait: 2 * DEADLINE,
            takes: 0,
        };
        let looking = tokio::spawn(async move {
            let found = world.look_up(&call).await.1;
            current.add_current(0, found.map(|(found, _)| found.snapshot));
        });
        let end = Instant::now() + clock::duration(of.length);
        while Instant::now() < end {
            let Ok((_, event)) = timeout_at(end, subscription.inbox().next()).await else { break };
            if let Event::Balance(report) = event
                && report.left(self.limits, CLOCKS[of.replica]()).is_some()
            {
                let amount = amount(report.snapshot.body());
                self.write(What::Streamed { stream, amount });
                clock::sleep(of.pause).await;
            }
        }
        self.write(What::Closed { stream });
        drop(subscription);
        looking.await.unwrap();
    }

    pub(crate) async fn call(self: Arc<Self>, call: Call) {
        let (caller, served) = self.look_up(&call).await;
        let now = Instant::now();
        let taken_by =
            served.as_ref().ok().map(|(found, age)| found.taken_by(self.limits, *age, now.into_std()));
        if let Some(taken_by) = taken_by.filter(|_| call.takes > 0) {
            clock::sleep(call.takes).await;
            // The server cuts an answer that its client has not read by then.
            if Instant::now().into_std() < taken_by {
                self.write(What::Taken { caller });
            }
        }
    }

    /// One request from its arrival to its answer.
    async fn look_up(&self, call: &Call) -> (usize, Result<(Found, std::time::Duration), Refusal>) {
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
        self.write(What::Answered { caller, given: given(&served) });
        (caller, served)
    }
}

/// What the caller reads in the answer.
fn given(result: &Result<(Found, std::time::Duration), Refusal>) -> Given {
    let (found, age) = match result {
        Ok(served) => served,
        Err(refusal) => return Given::Refused(*refusal),
    };
    let amount = amount(found.snapshot.body());
    Given::Served { amount, age: age.as_millis().try_into().unwrap(), via: found.via }
}

fn amount(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["available"].as_str().unwrap().to_owned()
}

/// The gateway that ships, for streams and notifications.
fn gateway(upstream: &Arc<Upstream>, cache: &BalanceCache, clock: Clock, limits: Limits) -> Gateway {
    let balance = |balance| BalanceSettings { selector: selector(balance), ..BalanceSettings::default() };
    let settings = AccountSettings {
        name: AccountName::parse("a").unwrap(),
        provider: ProviderName::parse("p").unwrap(),
        kind: "model".into(),
        lags: false,
        is_enabled: true,
        limits,
        identity: Vec::new(),
        balances: (0..BALANCES).map(balance).collect(),
        watch: None,
    };
    Gateway::new(vec![Account::new(settings, Arc::clone(upstream))], Vec::new(), cache.clone(), clock)
}

/// How long one operation of the store may take: as shipped.
pub(crate) const TIMEOUT: Ms = 30;
/// The currency of each balance.
pub(crate) const CODES: [&str; BALANCES] = ["BRL", "MXN"];

pub(crate) fn selector(balance: usize) -> Selector {
    Selector::of(Currency::parse(CODES[balance]).unwrap())
}

pub(crate) fn key(balance: usize) -> BalanceKey {
    BalanceKey::new(&AccountName::parse("a").unwrap(), &[], &selector(balance))
}
