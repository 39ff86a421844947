//! The link to the store: connects, listens, catches up with what was missed, and does so again when it breaks.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use redis::{RedisError, RedisResult, Value};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::balance::SharedBalance;
use super::breaker::SharedBreaker;
use super::connection::{self, Commands, Connected};
use super::store::{Trouble, trouble_of};
use super::{PING_INTERVAL, SILENCE, Shared};
use crate::domain::turn::micros;
use crate::domain::{BalanceKey, MaxAge, StoreTime};
use crate::metrics::{SharedError, SharedOperation};

/// Look-ups that run at once while this replica catches up.
const AT_ONCE: usize = 128;
/// An operation that times out while this replica catches up is tried so often.
const TRIES: usize = 5;
/// Reconnects are spread over it, so that a store that comes back is not stormed.
const SPREAD: Duration = Duration::from_secs(1);

impl Shared {
    /// Keeps the link, and the units of callers over it, until it is stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async { tokio::join!(self.keep_link(), self.keep_units()) }).await;
        self.end_sharing();
    }

    async fn keep_link(&self) {
        loop {
            if let Err(Trouble(error)) = self.link().await {
                self.store.metrics.failed(SharedOperation::Subscribe, error);
            }
            self.end_sharing();
            sleep(SPREAD.mul_f64(fastrand::f64())).await;
        }
    }

    /// Connects and listens until something breaks. Whoever subscribes before it reads misses nothing.
    async fn link(&self) -> Result<(), Trouble> {
        let connecting = async {
            let Connected { commands, events } = connection::connect(&self.settings).await?;
            let (mut sink, messages) = events.split();
            sink.subscribe(&self.channel).await?;
            Ok((commands, sink, messages))
        };
        let connected = timeout(3 * connection::CONNECT_TIMEOUT, connecting).await;
        let connected = connected.map_err(|_| Trouble(SharedError::Timeout))?;
        let (commands, sink, messages) = connected.map_err(|error: RedisError| trouble_of(&error))?;
        let mut messages = messages.map(|message| message.get_payload_bytes().to_vec());
        let ping_events = || {
            let mut sink = sink.clone();
            async move { sink.ping().await }
        };
        self.follow(commands, &mut messages, ping_events).await
    }

    /// Shares over a link whose messages come from now on, until something breaks.
    ///
    /// # Errors
    /// What broke.
    pub async fn follow<F: Future<Output = RedisResult<Value>>>(
        &self,
        commands: Commands,
        messages: &mut (impl Stream<Item = Vec<u8>> + Unpin),
        ping_events: impl Fn() -> F,
    ) -> Result<(), Trouble> {
        self.store.connected(commands.clone());
        let said = timeout(connection::CONNECT_TIMEOUT, commands.time()).await;
        let said = said.map_err(|_| Trouble(SharedError::Timeout))?.map_err(|error| trouble_of(&error))?;
        self.note_time(said);
        let (catching_up, listening) = (self.catch_up(), self.listen(messages));
        let broken = watch_over(ping_events, commands);
        let (mut catching_up, mut listening, mut broken) = (pin!(catching_up), pin!(listening), pin!(broken));
        let missed = tokio::select! {
            biased;
            caught_up = &mut catching_up => caught_up?,
            ended = &mut listening => return ended,
            ended = &mut broken => return ended,
        };
        self.store.begin_sharing();
        for (key, number) in missed {
            self.tell_end(key, number);
        }
        tracing::info!(event = "shared_joined", store = %self.settings.url, "sharing with the other replicas");
        let ended = tokio::select! {
            biased;
            ended = &mut listening => ended,
            ended = &mut broken => ended,
            () = self.store.trouble.notified() => Ok(()),
        };
        tracing::warn!(event = "shared_lost", store = %self.settings.url, "the shared store is away; going on alone");
        ended
    }

    /// From now on this replica is alone, until [`Shared::follow`] has caught up again.
    pub fn end_sharing(&self) {
        self.store.end_sharing();
        self.silenced.notify_waiters();
    }

    /// Reads the marks that this replica missed and the state of the breakers, and writes again its own invalidations,
    /// which the store may have lost. Returns the last read of each balance.
    async fn catch_up(&self) -> Result<Vec<(BalanceKey, u64)>, Trouble> {
        let names: Vec<String> = {
            let balances = self.balances.read().unwrap_or_else(PoisonError::into_inner);
            balances.keys().cloned().collect()
        };
        let last_reads = at_once(names, |name| self.catch_up_with(name)).await?;
        for breaker in self.breakers() {
            patiently(|| breaker.catch_up()).await?;
        }
        let now = (self.store.clock)().monotonic;
        let own: Vec<BalanceKey> = {
            let mut own = self.own_marks();
            own.retain(|_, at| now.saturating_duration_since(*at) < MaxAge::CEILING.get());
            let mut keys: Vec<BalanceKey> = own.keys().copied().collect();
            keys.sort_unstable_by_key(|key| *key.as_bytes());
            keys
        };
        // A removed balance needs no mark.
        let configured = own.into_iter().filter(|key| self.find(key).is_some()).collect();
        at_once(configured, |key| async move {
            let mark = patiently(|| async move { self.mark(&[key]).await }).await?;
            self.tell_mark(key, mark.as_micros());
            Ok(())
        })
        .await?;
        Ok(last_reads.into_iter().flatten().collect())
    }

    /// Reads the mark of one balance. Where the store does not answer in time, the balance counts as invalidated: one
    /// slow look-up costs one balance, not the whole link. Returns its last read.
    async fn catch_up_with(&self, name: String) -> Result<Option<(BalanceKey, u64)>, Trouble> {
        let Some((account, index)) = self.find_by_name(&name) else { return Ok(None) };
        let balance = &account.balances[index];
        match patiently(|| self.look(&account, index)).await {
            Ok(looked) => {
                let since = looked.now.since(StoreTime::from_micros(looked.mark));
                if looked.mark > 0 && since < MaxAge::CEILING.get() {
                    let highest = balance.note_number(0);
                    // A store that counts from below says nothing of what is above.
                    let mark = if looked.last < highest { looked.mark.max(highest) } else { looked.mark };
                    self.tell_mark(balance.key, mark);
                }
                Ok(Some((balance.key, looked.last)))
            }
            Err(Trouble(SharedError::Timeout)) => {
                self.tell_mark(balance.key, balance.note_number(0));
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Notes what time it is in the store. Numbers beyond what that clock can have given are of another store.
    fn note_time(&self, said: StoreTime) {
        self.store.note_said(said, (self.store.clock)().monotonic);
        let balances = self.balances.read().unwrap_or_else(PoisonError::into_inner);
        for account in balances.values().filter_map(|place| place.account.upgrade()) {
            account.forget_numbers_after(said);
        }
    }

    pub(super) fn tell_mark(&self, key: BalanceKey, mark: u64) {
        if let Some(listener) = self.on_mark.get() {
            listener(key, mark);
        }
    }

    fn tell_end(&self, key: BalanceKey, number: u64) {
        if let Some(listener) = self.on_end.get() {
            listener(key, number);
        }
    }

    async fn listen(&self, messages: &mut (impl Stream<Item = Vec<u8>> + Unpin)) -> Result<(), Trouble> {
        while let Some(message) = messages.next().await {
            self.hear(std::str::from_utf8(&message).unwrap_or_default());
        }
        Err(Trouble(SharedError::Connect))
    }

    /// Understands what the store tells: that a read has ended, or that a balance was invalidated.
    fn hear(&self, message: &str) {
        let words: Vec<&str> = message.split(' ').collect();
        let [what, name, number] = words.as_slice() else { return };
        let Ok(number) = number.parse() else { return };
        // The store itself gives no number beyond this.
        let Some(now) = self.store.latest() else { return };
        if number > now.latest_number() {
            return;
        }
        match *what {
            "ended" => self.with_balance(name, |balance| {
                balance.note_end(number);
                self.tell_end(balance.key, number);
            }),
            "marked" => self.with_balance(name, |balance| {
                let highest = balance.note_number(0);
                // Further ahead than a message is late: the store was set back, and the mark is of after it all.
                let is_set_back = highest.saturating_sub(number) > micros(SILENCE);
                self.tell_mark(balance.key, if is_set_back { highest } else { number });
            }),
            "breaker" => self.with_breaker(name, |breaker| breaker.note_left(number)),
            "failing" => self.with_breaker(name, SharedBreaker::note_failing),
            _ => {}
        }
    }

    fn with_balance(&self, name: &str, then: impl FnOnce(&SharedBalance)) {
        if let Some((account, index)) = self.find_by_name(name) {
            then(&account.balances[index]);
        }
    }

    fn with_breaker(&self, name: &str, then: impl Fn(&SharedBreaker)) {
        for breaker in self.breakers().iter().filter(|breaker| breaker.name == name) {
            then(breaker);
        }
    }
}

/// Asks both connections for a sign of life, until one gives none.
async fn watch_over<F: Future<Output = RedisResult<Value>>>(
    ping_events: impl Fn() -> F,
    commands: Commands,
) -> Result<(), Trouble> {
    let mut ticks = interval(PING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let signs = async { tokio::join!(ping_events(), commands.ping()) };
        let (events, commands) = timeout(SILENCE, signs).await.map_err(|_| Trouble(SharedError::Timeout))?;
        events.map_err(|error| trouble_of(&error))?;
        commands.map_err(|error| trouble_of(&error))?;
    }
}

/// Runs the operation on each, many at once.
async fn at_once<T, R, F: Future<Output = Result<R, Trouble>>>(
    all: Vec<T>,
    operation: impl Fn(T) -> F,
) -> Result<Vec<R>, Trouble> {
    futures_util::stream::iter(all).map(operation).buffer_unordered(AT_ONCE).try_collect().await
}

/// Runs the operation again while the store does not answer in time.
async fn patiently<T, F: Future<Output = Result<T, Trouble>>>(
    operation: impl Fn() -> F,
) -> Result<T, Trouble> {
    for _ in 1..TRIES {
        match operation().await {
            Err(Trouble(SharedError::Timeout)) => {}
            ended => return ended,
        }
    }
    operation().await
}
