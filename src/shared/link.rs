//! The link to the store: connects, listens, catches up with what was missed, and does so again when it breaks.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::{RedisError, RedisResult, Value};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::balance::SharedBalance;
use super::breaker::SharedBreaker;
use super::connection::{self, Commands, Connected};
use super::store::{Trouble, trouble_of};
use super::{Away, PING_INTERVAL, SILENCE, Shared};
use crate::domain::turn::micros;
use crate::domain::{BalanceKey, MaxAge, StoreTime};
use crate::metrics::{SharedError, SharedOperation};

/// Numbers run ahead of our clock by less: clocks differ, and the store's may have been set back.
const MOST_AHEAD: Duration = Duration::from_hours(2);
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
        let broken = watch_over(ping_events, commands);
        let catching_up = self.catch_up();
        let listening = self.listen(messages);
        let (mut catching_up, mut listening) = (std::pin::pin!(catching_up), std::pin::pin!(listening));
        let missed = tokio::select! {
            biased;
            caught_up = &mut catching_up => caught_up.map_err(|Away| Trouble(SharedError::Timeout))?,
            ended = &mut listening => return ended,
        };
        self.store.begin_sharing();
        for (key, number) in missed {
            self.tell_end(key, number);
        }
        tracing::info!(event = "shared_joined", store = %self.settings.url, "sharing with the other replicas");
        let ended = tokio::select! {
            biased;
            ended = &mut listening => ended,
            ended = broken => ended,
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

    /// Reads the marks that were missed and how breakers are, and writes again the own ones that the store may have lost.
    /// Returns the last read of each balance.
    async fn catch_up(&self) -> Result<Vec<(BalanceKey, u64)>, Away> {
        let mut last_reads = Vec::new();
        let names: Vec<String> = {
            let balances = self.balances.read().unwrap_or_else(PoisonError::into_inner);
            balances.keys().cloned().collect()
        };
        for name in names {
            let Some((account, index)) = self.find_by_name(&name) else { continue };
            let looked = self.look(&account, index).await?;
            let since = looked.now.since(StoreTime::from_micros(looked.mark));
            if looked.mark > 0 && since < MaxAge::CEILING.get() {
                let balance = &account.balances[index];
                let highest = balance.note_number(0);
                // A store that counts from below says nothing of what is above.
                let mark = if looked.last < highest { looked.mark.max(highest) } else { looked.mark };
                self.tell_mark(balance.key, mark);
            }
            last_reads.push((account.balances[index].key, looked.last));
        }
        for breaker in self.breakers() {
            breaker.catch_up().await?;
        }
        let now = (self.store.clock)().monotonic;
        let own: Vec<BalanceKey> = {
            let mut own = self.own_marks();
            own.retain(|_, at| now.saturating_duration_since(*at) < MaxAge::CEILING.get());
            let mut keys: Vec<BalanceKey> = own.keys().copied().collect();
            keys.sort_unstable_by_key(|key| *key.as_bytes());
            keys
        };
        // One that is configured no more is nobody's matter.
        for key in own.into_iter().filter(|key| self.find(key).is_some()) {
            let mark = self.mark(&[key]).await?;
            self.tell_mark(key, mark.as_micros());
        }
        Ok(last_reads)
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
        // Whoever says more than the store can is not the store.
        let latest = StoreTime::of((self.store.clock)().wall).as_micros().saturating_add(micros(MOST_AHEAD));
        if number > latest {
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

    fn with_breaker(&self, name: &str, then: impl FnOnce(&SharedBreaker)) {
        if let Some(breaker) = self.breakers().into_iter().find(|breaker| breaker.name == name) {
            then(&breaker);
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
