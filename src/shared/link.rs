//! The link to the store: connects, subscribes, catches up with missed invalidations, and reconnects when it breaks.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::{RedisError, RedisResult, Value};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::balance::SharedBalance;
use super::breaker::SharedBreaker;
use super::connection::{self, Commands, Connected};
use super::error::StoreError;
use super::handle::Shared;
use super::store::store_error;
use crate::domain::StoreTime;
use crate::domain::turn::micros;
use crate::metrics::{SharedError, SharedOperation};

/// The target of this file's log lines: a constant, so that moving the file changes none.
const LOG_TARGET: &str = "balance_gateway::shared::link";
/// The longest silence of a connection, and the interval of pings.
const SILENCE: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Reconnects are spread over this span, so that a returning store is not overloaded.
const SPREAD: Duration = Duration::from_secs(1);

impl Shared {
    /// Keeps the link to the store, and the units of callers, until `stop` is cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async { tokio::join!(self.keep_link(), self.keep_units()) }).await;
        self.end_sharing();
    }

    async fn keep_link(&self) {
        loop {
            if let Err(StoreError(error)) = self.link().await {
                self.tier.store.metrics.failed(SharedOperation::Subscribe, error);
            }
            self.end_sharing();
            sleep(SPREAD.mul_f64(fastrand::f64())).await;
        }
    }

    /// Connects and listens until something breaks. It subscribes before it reads, so that it misses no message.
    async fn link(&self) -> Result<(), StoreError> {
        let connecting = async {
            let Connected { commands, events } = connection::connect(&self.tier.settings).await?;
            let (mut sink, messages) = events.split();
            sink.subscribe(&self.tier.channel).await?;
            Ok((commands, sink, messages))
        };
        let connected = timeout(3 * connection::CONNECT_TIMEOUT, connecting).await;
        let connected = connected.map_err(|_| StoreError(SharedError::Timeout))?;
        let (commands, sink, messages) = connected.map_err(|error: RedisError| store_error(&error))?;
        let mut messages = messages.map(|message| message.get_payload_bytes().to_vec());
        let ping_events = || {
            let mut sink = sink.clone();
            async move { sink.ping().await }
        };
        self.follow(commands, &mut messages, ping_events).await
    }

    /// Shares over a connection that is already subscribed, until something breaks.
    ///
    /// # Errors
    /// Why the link broke.
    pub async fn follow<F: Future<Output = RedisResult<Value>>>(
        &self,
        commands: Commands,
        messages: &mut (impl Stream<Item = Vec<u8>> + Unpin),
        ping_events: impl Fn() -> F,
    ) -> Result<(), StoreError> {
        self.tier.store.connected(commands.clone());
        let store_time = timeout(connection::CONNECT_TIMEOUT, commands.time()).await;
        let store_time =
            store_time.map_err(|_| StoreError(SharedError::Timeout))?.map_err(|error| store_error(&error))?;
        self.note_time(store_time);
        let (catching_up, listening) = (self.catch_up(), self.listen(messages));
        let broken = ping_until_broken(ping_events, commands);
        let (mut catching_up, mut listening, mut broken) = (pin!(catching_up), pin!(listening), pin!(broken));
        let missed = tokio::select! {
            biased;
            caught_up = &mut catching_up => caught_up?,
            ended = &mut listening => return ended,
            ended = &mut broken => return ended,
        };
        self.tier.store.begin_sharing();
        for (key, number) in missed {
            self.tier.notify_end(key, number);
        }
        tracing::info!(target: LOG_TARGET, event = "shared_joined", store = %self.tier.settings.url, "sharing with the other replicas");
        let ended = tokio::select! {
            biased;
            ended = &mut listening => ended,
            ended = &mut broken => ended,
            () = self.tier.store.failed.notified() => Ok(()),
        };
        tracing::warn!(target: LOG_TARGET, event = "shared_lost", store = %self.tier.settings.url, "the shared store is unavailable; this replica works alone");
        ended
    }

    /// This replica works alone until [`Shared::follow`] has caught up again.
    pub fn end_sharing(&self) {
        self.tier.end_sharing();
    }

    /// Records the store's clock. Forgets numbers that this clock cannot have given: they are from another store.
    fn note_time(&self, store_time: StoreTime) {
        self.tier.store.note_store_time(store_time, (self.tier.store.clock)().monotonic);
        for name in self.places.names() {
            if let Some((account, index)) = self.places.find_by_name(&name) {
                account.balances[index].forget_numbers_above(store_time.latest_number());
            }
        }
    }

    async fn listen(&self, messages: &mut (impl Stream<Item = Vec<u8>> + Unpin)) -> Result<(), StoreError> {
        while let Some(message) = messages.next().await {
            self.apply_message(std::str::from_utf8(&message).unwrap_or_default());
        }
        Err(StoreError(SharedError::Connect))
    }

    /// Handles a message: a read ended, a balance was invalidated, or a breaker changed.
    fn apply_message(&self, message: &str) {
        let words: Vec<&str> = message.split(' ').collect();
        let [what, name, number] = words.as_slice() else { return };
        let Ok(number) = number.parse() else { return };
        // The store gives no number above this bound.
        let Some(now) = self.tier.store.latest() else { return };
        if number > now.latest_number() {
            return;
        }
        match *what {
            "ended" => self.with_balance(name, |balance| {
                balance.note_end(number);
                self.tier.notify_end(balance.key, number);
            }),
            "marked" => self.with_balance(name, |balance| {
                let highest = balance.note_number(0);
                // A mark this far below the highest number is not just a late message: the store's clock was set back,
                // so the mark is newer than every number seen.
                let is_set_back = highest.saturating_sub(number) > micros(SILENCE);
                self.tier.notify_mark(balance.key, if is_set_back { highest } else { number });
            }),
            "breaker" => self.with_breaker(name, |breaker| breaker.note_left(number)),
            "failing" => self.with_breaker(name, SharedBreaker::note_failing),
            _ => {}
        }
    }

    fn with_balance(&self, name: &str, then: impl FnOnce(&SharedBalance)) {
        if let Some((account, index)) = self.places.find_by_name(name) {
            then(&account.balances[index]);
        }
    }

    fn with_breaker(&self, name: &str, then: impl Fn(&SharedBreaker)) {
        for breaker in self.breakers().iter().filter(|breaker| breaker.name == name) {
            then(breaker);
        }
    }
}

/// Pings both connections until one does not answer.
async fn ping_until_broken<F: Future<Output = RedisResult<Value>>>(
    ping_events: impl Fn() -> F,
    commands: Commands,
) -> Result<(), StoreError> {
    let mut ticks = interval(PING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let signs = async { tokio::join!(ping_events(), commands.ping()) };
        let (events, commands) =
            timeout(SILENCE, signs).await.map_err(|_| StoreError(SharedError::Timeout))?;
        events.map_err(|error| store_error(&error))?;
        commands.map_err(|error| store_error(&error))?;
    }
}
