//! Runs scripts in the store and measures them: each within its time-out, a bounded number at once, and none while the
//! store is unavailable.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use serde::Serialize;
use tokio::sync::{Notify, Semaphore};

use super::connection::Commands;
use super::error::StoreError;
use super::script::{Action, ScriptAnswer, Scripts};
use crate::domain::turn::micros;
use crate::domain::{Clock, Moment, StoreTime};
use crate::metrics::{SharedError, SharedMetrics};

/// The most concurrent operations. A further one fails at once, as if it had timed out.
const MOST_AT_ONCE: usize = 1024;
/// After this many time-outs or broken connections in a row the replica stops sharing until it has reconnected.
const MOST_FAILURES: u32 = 3;

/// The time that one request may still wait for the store.
#[derive(Clone, Copy, Debug)]
pub struct StoreWait(pub(super) Duration);

/// An answer, with the moments when the script was sent and when the answer was received.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: ScriptAnswer,
    pub(super) sent: Moment,
    pub(super) received: Instant,
}

/// The store and the state of its connection.
pub(super) struct Store {
    pub(super) timeout: Duration,
    pub(super) clock: Clock,
    scripts: Scripts,
    commands: ArcSwapOption<Commands>,
    slots: Semaphore,
    failures_in_a_row: AtomicU32,
    is_sharing: AtomicBool,
    /// The connection's generation: a new connection may lead to a store that lost data.
    generation: AtomicU64,
    /// When the connection last broke or was made again; `None` until it breaks. After that, this replica is cautious for
    /// a while, because a fail-over may have lost calls.
    cautious_since: Mutex<Option<Instant>>,
    /// The last reading of the store's clock, and when it was received.
    last_time: Mutex<Option<(StoreTime, Instant)>>,
    /// Notified when the connection is broken.
    pub(super) failed: Notify,
    pub(super) metrics: Arc<SharedMetrics>,
}

impl Store {
    pub(super) fn new(timeout: Duration, clock: Clock, metrics: Arc<SharedMetrics>) -> Self {
        Self {
            timeout,
            clock,
            scripts: Scripts::new(),
            commands: ArcSwapOption::empty(),
            slots: Semaphore::new(MOST_AT_ONCE),
            failures_in_a_row: AtomicU32::new(0),
            is_sharing: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            cautious_since: Mutex::default(),
            last_time: Mutex::default(),
            failed: Notify::new(),
            metrics,
        }
    }

    /// Whether this replica shares with the others.
    pub(super) fn is_sharing(&self) -> bool {
        self.is_sharing.load(Ordering::Acquire)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The time that one operation may wait for the store, or all operations of one read together.
    pub(super) fn wait(&self) -> StoreWait {
        StoreWait(self.timeout)
    }

    /// The latest possible reading of the store's clock now.
    pub(super) fn latest(&self) -> Option<StoreTime> {
        let (store_time, at) = (*self.last_time.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = (self.clock)().monotonic.saturating_duration_since(at);
        Some(StoreTime::from_micros(store_time.as_micros().saturating_add(micros(since))))
    }

    pub(super) fn note_store_time(&self, store_time: StoreTime, received: Instant) {
        *self.last_time.lock().unwrap_or_else(PoisonError::into_inner) = Some((store_time, received));
    }

    /// Takes a new connection into use. Sharing begins after the catch-up.
    pub(super) fn connected(&self, commands: Commands) {
        // Notifications about the previous connection do not apply to this one.
        let _ = self.failed.notified().now_or_never();
        self.commands.store(Some(Arc::new(commands)));
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut cautious_since = self.cautious_since();
        *cautious_since = cautious_since.map(|_| (self.clock)().monotonic);
        drop(cautious_since);
        self.failures_in_a_row.store(0, Ordering::Relaxed);
    }

    /// How much of `span` is left, counted from when the connection last broke or was made again.
    pub(super) fn cautious_for(&self, span: Duration, now: Instant) -> Duration {
        let left = |at| span.saturating_sub(now.saturating_duration_since(at));
        self.cautious_since().map_or(Duration::ZERO, left)
    }

    fn cautious_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.cautious_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_sharing(&self) {
        self.is_sharing.store(true, Ordering::Release);
        self.metrics.set_sharing(true);
    }

    /// This replica works alone from now on.
    pub(super) fn end_sharing(&self) {
        if self.is_sharing.swap(false, Ordering::AcqRel) {
            *self.cautious_since() = Some((self.clock)().monotonic);
        }
        self.metrics.set_sharing(false);
        self.commands.store(None);
    }

    /// Runs a script with one packed argument. It may take at most `wait`, which is then reduced by the time that it
    /// took.
    pub(super) async fn run(
        &self,
        action: Action,
        keys: &[&str],
        arguments: &impl Serialize,
        wait: &mut StoreWait,
    ) -> Result<Answered, StoreError> {
        self.run_with(action, keys, arguments, Vec::new(), wait).await
    }

    /// As [`Self::run`], with further arguments in bytes, which JSON cannot hold.
    pub(super) async fn run_with(
        &self,
        action: Action,
        keys: &[&str],
        arguments: &impl Serialize,
        bytes: Vec<Vec<u8>>,
        wait: &mut StoreWait,
    ) -> Result<Answered, StoreError> {
        let generation = self.generation();
        let commands = self.commands.load_full().ok_or(StoreError(SharedError::Connect))?;
        let longest = wait.0.min(self.timeout);
        if longest.is_zero() {
            // The request has no time left; this proves nothing about the store.
            return Err(StoreError(SharedError::Timeout));
        }
        // Too many concurrent operations prove nothing about the store.
        let _slot = self.slots.try_acquire().map_err(|_| {
            self.metrics.failed(action.operation(), SharedError::Timeout);
            StoreError(SharedError::Timeout)
        })?;
        // Texts and numbers serialise without failing.
        let mut packed = vec![serde_json::to_vec(arguments).unwrap_or_default()];
        packed.extend(bytes);
        let running = commands.run(self.scripts.of(action), keys, &packed);
        let sent = (self.clock)();
        let (result, is_unavailable) = match tokio::time::timeout(longest, running).await {
            Ok(Ok(value)) => (ScriptAnswer::read(value), false),
            Ok(Err(error)) => (Err(store_error(&error)), is_unavailable(&error)),
            Err(_) => (Err(StoreError(SharedError::Timeout)), longest == self.timeout),
        };
        let received = (self.clock)().monotonic;
        let took = received.saturating_duration_since(sent.monotonic);
        wait.0 = wait.0.saturating_sub(took);
        self.metrics.operated(action.operation(), took);
        match result {
            Ok(answer) => {
                self.note_store_time(answer.now, received);
                self.failures_in_a_row.store(0, Ordering::Relaxed);
                Ok(Answered { answer, sent, received })
            }
            Err(error) => {
                self.metrics.failed(action.operation(), error.0);
                // The cluster's client reconnects to a node by itself, and a fail-over may have lost calls.
                if is_unavailable && error.0 != SharedError::Timeout && self.is_sharing() {
                    *self.cautious_since() = Some(received);
                }
                // Failures count only while this replica shares: the catch-up repeats its operations itself.
                if is_unavailable && self.is_sharing() {
                    self.note_failure(generation);
                }
                Err(error)
            }
        }
    }

    /// Counts a failure of this connection. Failures of an earlier connection do not count for the present one.
    fn note_failure(&self, generation: u64) {
        if generation != self.generation() {
            return;
        }
        if self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAILURES {
            self.end_sharing();
            self.failed.notify_one();
        }
    }
}

/// The kind of an error, for the metrics.
pub(super) fn store_error(error: &RedisError) -> StoreError {
    StoreError(match error.kind() {
        _ if error.is_timeout() => SharedError::Timeout,
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => SharedError::Connect,
        _ if is_wrong_type(error) => SharedError::Invalid,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => SharedError::Protocol,
        _ => SharedError::Refused,
    })
}

/// Whether the connection is broken, or another node is the master now.
fn is_unavailable(error: &RedisError) -> bool {
    let is_another = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
        )
    );
    is_another || matches!(store_error(error).0, SharedError::Timeout | SharedError::Connect)
}

/// Whether a key holds a value of a wrong type.
fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::metrics::Metrics;

    #[test]
    fn failures_of_an_earlier_connection_end_nothing() {
        let metrics = Metrics::new("0", "0").unwrap().shared().unwrap();
        let store = Store::new(Duration::from_millis(30), clock::now, metrics);
        store.begin_sharing();
        store.generation.store(2, Ordering::Release);

        (0..MOST_FAILURES).for_each(|_| store.note_failure(1));
        assert!(store.is_sharing());

        (0..MOST_FAILURES).for_each(|_| store.note_failure(2));
        assert!(!store.is_sharing());
    }
}
