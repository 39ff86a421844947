//! Bounds how long a peer may take, with one timer for a whole connection.
//!
//! A timer is armed only when a read or a write has to wait, and one that is armed for an earlier moment is left
//! alone: when it fires, the real deadline is looked at. A keep-alive connection therefore serves requests without
//! touching the timer, at two looks at the clock each.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::server::settings::ListenerSettings;
use crate::shutdown::Shutdown;

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What one connection is doing, shared by its stream and its requests.
///
/// On HTTP/2 requests end in tasks of their own. Each moment is written before the count that makes it matter, so
/// no reader meets an old moment with a new count.
#[derive(Debug)]
pub(in crate::server) struct Pace {
    pub(super) accepted: Instant,
    pub(super) limits: ListenerSettings,
    shutdown: Shutdown,
    /// A head is awaited (the first one) or has begun (later ones). HTTP/2 has only the first.
    pub(super) reads_head: AtomicBool,
    /// Requests whose answer hyper does not yet have in full.
    in_flight: AtomicU32,
    /// The request that began last has a body.
    has_body: AtomicBool,
    /// When each answer began that the peer has not taken in full, in microseconds since `accepted`, oldest first.
    unread: Mutex<VecDeque<u64>>,
    /// The first of these, or [`NONE`].
    oldest_unread: AtomicU64,
    /// When an exchange last ended, in microseconds since `accepted`.
    idle: AtomicU64,
    /// A begun head was not finished in time.
    pub(super) is_late: AtomicBool,
    /// A head was refused, for whatever reason, and counted.
    has_refused_head: AtomicBool,
    /// The last answer that began was to be the connection's last.
    is_leaving: AtomicBool,
}

/// One request from its head to the end of its answer, however it ends.
#[derive(Debug)]
pub(in crate::server) struct Exchange {
    pace: Arc<Pace>,
    answered: Option<u64>,
    /// The answer goes on for as long as there is something to say.
    is_open_ended: bool,
}

/// Stands for no moment.
const NONE: u64 = u64::MAX;

impl Pace {
    pub(in crate::server) fn new(
        accepted: Instant,
        limits: ListenerSettings,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        Arc::new(Self {
            accepted,
            limits,
            shutdown,
            reads_head: AtomicBool::new(true),
            in_flight: AtomicU32::new(0),
            has_body: AtomicBool::new(false),
            unread: Mutex::default(),
            oldest_unread: AtomicU64::new(NONE),
            idle: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
            has_refused_head: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
        })
    }

    pub(in crate::server) fn header_timeout(&self) -> Duration {
        self.limits.header_timeout
    }

    /// Whether an answer has begun that is to be the connection's last.
    pub(in crate::server) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    pub(in crate::server) fn reads_head(&self) -> bool {
        self.reads_head.load(Ordering::Acquire)
    }

    pub(in crate::server) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Acquire)
    }

    /// Notes that a head was refused; says whether it is the connection's first.
    pub(in crate::server) fn refuse_head(&self) -> bool {
        !self.has_refused_head.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    pub(super) fn had_body(&self) -> bool {
        self.has_body.load(Ordering::Acquire)
    }

    /// When the oldest answer began that is not taken in full.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        let oldest = self.oldest_unread.load(Ordering::Acquire);
        (oldest != NONE).then(|| self.accepted + Duration::from_micros(oldest))
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.accepted + Duration::from_micros(self.idle.load(Ordering::Acquire))
    }

    pub(super) fn micros(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.accepted).as_micros();
        u64::try_from(micros).unwrap_or(NONE - 1)
    }

    pub(super) fn change_unread(&self, change: impl FnOnce(&mut VecDeque<u64>)) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut unread);
        self.oldest_unread.store(unread.front().copied().unwrap_or(NONE), Ordering::Release);
    }
}

impl Exchange {
    pub(in crate::server) fn begin(pace: &Arc<Pace>, has_body: bool) -> Self {
        pace.in_flight.fetch_add(1, Ordering::AcqRel);
        pace.reads_head.store(false, Ordering::Release);
        pace.has_body.store(has_body, Ordering::Release);
        Self { pace: Arc::clone(pace), answered: None, is_open_ended: false }
    }

    /// The answer goes on for as long as there is something to say: only a write that waits bounds its peer.
    pub(in crate::server) fn open_end(&mut self) {
        self.is_open_ended = true;
    }

    /// The answer has ended by itself. The connection closes after an open-ended one: its client is to connect again,
    /// perhaps to another replica.
    pub(in crate::server) fn end(&self) {
        if self.is_open_ended {
            self.pace.is_leaving.store(true, Ordering::Release);
        }
    }

    /// The answer's head is there, and the peer has `request_timeout` to make room for the rest. Says whether the
    /// answer is to be the connection's last, as one that refuses the head is.
    pub(in crate::server) fn answer(&mut self, now: Instant, is_refused: bool) -> bool {
        let pace = &self.pace;
        let micros = pace.micros(now);
        if !self.is_open_ended {
            self.answered = Some(micros);
            pace.change_unread(|unread| unread.push_back(micros));
        }
        let is_old = now.saturating_duration_since(pace.accepted) >= pace.limits.max_connection_age;
        let is_last = is_refused || is_old || pace.shutdown.is_draining();
        if is_last {
            pace.is_leaving.store(true, Ordering::Release);
        }
        is_last
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let pace = &self.pace;
        pace.idle.store(pace.micros(Instant::now()), Ordering::Release);
        if let Some(answered) = self.answered {
            pace.change_unread(|unread| {
                // Answers that began in the same microsecond are as good as each other.
                // On HTTP/1 it is the only one.
                let is_oldest = unread.front() == Some(&answered);
                let index =
                    if is_oldest { Some(0) } else { unread.iter().position(|began| *began == answered) };
                index.and_then(|index| unread.remove(index));
            });
        }
        pace.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
