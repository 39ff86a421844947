//! Bounds how long a peer may take, with one timer for a whole connection.
//!
//! A timer is armed only when a read or a write has to wait, and one that is armed for an earlier moment is left
//! alone: when it fires, the real deadline is looked at. A keep-alive connection therefore serves requests without
//! touching the timer, at two looks at the clock each.

mod stream;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

pub(super) use stream::Paced;

use super::listener::ListenerSettings;
use crate::shutdown::Shutdown;

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2, by prior knowledge.
    Http2,
}

/// What one connection is doing, shared by its stream and its requests.
///
/// On HTTP/2 requests end in tasks of their own. Each moment is written before the count that makes it matter, so
/// no reader meets an old moment with a new count.
#[derive(Debug)]
pub(super) struct Pace {
    accepted: Instant,
    limits: ListenerSettings,
    shutdown: Shutdown,
    /// A head is awaited (the first one) or has begun (later ones). HTTP/2 has only the first.
    reads_head: AtomicBool,
    /// Requests whose answer hyper does not yet have in full.
    in_flight: AtomicU32,
    /// Of these, answers of which hyper has the head.
    unread: AtomicU32,
    /// When an answer last began, in microseconds since `accepted`.
    answered: AtomicU64,
    /// When an exchange last ended, likewise.
    idle: AtomicU64,
    /// A begun head was not finished in time.
    is_late: AtomicBool,
    /// The peer closed its side, or the connection broke.
    is_gone: AtomicBool,
    /// The last answer that began was to be the connection's last.
    is_leaving: AtomicBool,
}

/// One request from its head to the end of its answer, however it ends.
#[derive(Debug)]
pub(super) struct Exchange {
    pace: Arc<Pace>,
    is_answered: bool,
}

impl Pace {
    pub(super) fn new(accepted: Instant, limits: ListenerSettings, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            accepted,
            limits,
            shutdown,
            reads_head: AtomicBool::new(true),
            in_flight: AtomicU32::new(0),
            unread: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
        })
    }

    /// Whether an answer has begun that is to be the connection's last.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    pub(super) fn reads_head(&self) -> bool {
        self.reads_head.load(Ordering::Acquire)
    }

    pub(super) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Acquire)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    fn set(&self, moment: &AtomicU64, now: Instant) {
        let micros = now.saturating_duration_since(self.accepted).as_micros();
        moment.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn get(&self, moment: &AtomicU64) -> Instant {
        self.accepted + Duration::from_micros(moment.load(Ordering::Acquire))
    }
}

impl Exchange {
    pub(super) fn begin(pace: &Arc<Pace>) -> Self {
        pace.in_flight.fetch_add(1, Ordering::AcqRel);
        pace.reads_head.store(false, Ordering::Release);
        Self { pace: Arc::clone(pace), is_answered: false }
    }

    /// The answer's head is there, and the peer has `request_timeout` to make room for the rest. Says whether the
    /// answer is to be the connection's last.
    pub(super) fn answer(&mut self, now: Instant) -> bool {
        let pace = &self.pace;
        self.is_answered = true;
        pace.set(&pace.answered, now);
        pace.unread.fetch_add(1, Ordering::AcqRel);
        let is_old = now.saturating_duration_since(pace.accepted) >= pace.limits.max_connection_age;
        let is_last = is_old || pace.shutdown.is_draining();
        if is_last {
            pace.is_leaving.store(true, Ordering::Release);
        }
        is_last
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.pace.set(&self.pace.idle, Instant::now());
        if self.is_answered {
            self.pace.unread.fetch_sub(1, Ordering::AcqRel);
        }
        self.pace.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
