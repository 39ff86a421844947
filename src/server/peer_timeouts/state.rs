//! Bounds how long a peer may take, with one timer for a whole connection.
//!
//! A timer is armed only when a read or a write has to wait, and one that is armed for an earlier moment is left
//! alone: when it fires, the real deadline is looked at. A keep-alive connection therefore serves requests without
//! touching the timer, at three looks at the clock each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant as StdInstant},
};

use tokio::time::Instant;

use super::gate::Gate;
use super::part::Part;
use super::untaken::{Answer, NONE, UntakenAnswers};
use crate::server::{delivery::Delivery, settings::ListenerSettings};
use crate::shutdown::Shutdown;

/// Answers to strangers on one connection that it has not taken; a browser that loads a page has fewer.
const MOST_TO_STRANGERS: usize = 8;

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
pub(in crate::server) struct ConnectionState {
    pub(super) accepted: Instant,
    pub(super) limits: ListenerSettings,
    shutdown: Shutdown,
    /// A head is awaited (the first one) or has begun (later ones). HTTP/2 has only the first.
    pub(super) reads_head: AtomicBool,
    /// Requests whose answer hyper does not yet have in full.
    in_flight: AtomicU32,
    /// The request that began last has a body.
    has_body: AtomicBool,
    /// The answers that the peer has not taken in full.
    pub(super) untaken: UntakenAnswers,
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
    state: Arc<ConnectionState>,
    answered: Option<u64>,
    /// When the answer must have left, in microseconds since the accept, or [`NONE`].
    taken_by: u64,
    /// The answer goes on for as long as there is something to say.
    is_open_ended: bool,
    /// The answer's last bytes are on their way to the kernel.
    is_written: bool,
}

/// Tells the connection when a stream's task lets go of an answer that h2 has not sent yet.
#[derive(Debug)]
pub(in crate::server) struct HandOver(Arc<ConnectionState>, u64);

impl Drop for HandOver {
    fn drop(&mut self) {
        self.0.untaken.hand_over(self.1);
    }
}

impl ConnectionState {
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
            untaken: UntakenAnswers::new(),
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

    pub(in crate::server) fn had_body(&self) -> bool {
        self.has_body.load(Ordering::Acquire)
    }

    /// When the oldest answer began that is not taken in full.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        self.moment(self.untaken.oldest())
    }

    /// Until when everything must have left that the connection or the kernel may hold.
    pub(super) fn due(&self) -> Option<Instant> {
        self.moment(self.untaken.due())
    }

    fn moment(&self, micros: u64) -> Option<Instant> {
        (micros != NONE).then(|| self.accepted + Duration::from_micros(micros))
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.accepted + Duration::from_micros(self.idle.load(Ordering::Acquire))
    }

    pub(super) fn micros(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.accepted).as_micros();
        u64::try_from(micros).unwrap_or(NONE - 1)
    }
}

impl Exchange {
    pub(in crate::server) fn begin(state: &Arc<ConnectionState>, has_body: bool) -> Self {
        state.in_flight.fetch_add(1, Ordering::AcqRel);
        state.reads_head.store(false, Ordering::Release);
        state.has_body.store(has_body, Ordering::Release);
        Self {
            state: Arc::clone(state),
            answered: None,
            taken_by: NONE,
            is_open_ended: false,
            is_written: false,
        }
    }

    /// The answer goes on for as long as there is something to say: only a write that waits bounds its peer.
    pub(in crate::server) fn open_end(&mut self) {
        self.is_open_ended = true;
    }

    /// The answer has ended by itself. The connection closes after an open-ended one: its client is to connect again,
    /// perhaps to another replica.
    pub(in crate::server) fn end(&self) {
        if self.is_open_ended {
            self.state.is_leaving.store(true, Ordering::Release);
        }
    }

    /// The answer's head is there, and the peer has `request_timeout` to make room for the rest. Says whether the
    /// answer is to be the connection's last, as one that refuses the head is.
    pub(in crate::server) fn answer(
        &mut self,
        now: Instant,
        is_refused: bool,
        delivery: Delivery,
        protocol: Protocol,
    ) -> bool {
        let state = &self.state;
        let taken_by = delivery.taken_by.map_or(NONE, |taken_by| state.micros(taken_by.into()));
        self.taken_by = taken_by;
        // Each frame of an open-ended answer has a deadline of its own.
        if !self.is_open_ended {
            self.answered = Some(state.untaken.begin(Answer {
                id: 0,
                began: state.micros(now),
                taken_by,
                is_handed_over: protocol == Protocol::Http1,
                is_known: delivery.is_known,
            }));
        }
        let is_old = now.saturating_duration_since(state.accepted) >= state.limits.max_connection_age;
        let is_last = is_refused || is_old || state.shutdown.is_draining();
        if is_last {
            state.is_leaving.store(true, Ordering::Release);
        }
        is_last
    }

    /// Bytes of an answer with a deadline that more bytes follow.
    pub(in crate::server) fn part(&self) -> Option<Part> {
        let part = || Part { state: Arc::clone(&self.state), taken_by: self.taken_by, gate: None };
        (self.taken_by != NONE).then(part)
    }

    /// A frame of an open-ended answer, with the moment by which the peer must have made room for it. The gate is closed
    /// until the frame has left.
    pub(in crate::server) fn frame(
        &self,
        taken_by: Option<StdInstant>,
        protocol: Protocol,
        gate: &Gate,
    ) -> (Part, Instant) {
        let state = &self.state;
        gate.close();
        let latest = Instant::now() + state.limits.request_timeout;
        let deadline = taken_by.map_or(latest, |taken_by| latest.min(taken_by.into()));
        let taken_by = taken_by.map_or(NONE, |taken_by| state.micros(taken_by.into()));
        let part = Part { state: Arc::clone(state), taken_by, gate: Some(gate.clone()) };
        if protocol == Protocol::Http1 {
            // The connection holds the frame from now on; on HTTP/2 the stream's task does.
            part.note_written();
        }
        (part, deadline)
    }

    /// The answer's last bytes are on their way to the kernel.
    pub(in crate::server) fn note_written(&mut self) {
        self.is_written = true;
    }

    /// Whether the peer has left so many answers to strangers untaken that it gets no further one.
    pub(in crate::server) fn is_too_much(&self, delivery: Delivery) -> bool {
        !delivery.is_known && self.state.untaken.of_strangers() >= MOST_TO_STRANGERS
    }

    /// On HTTP/2: what the stream's task keeps until it lets go of the answer.
    pub(in crate::server) fn hand_over(&self) -> Option<HandOver> {
        self.answered.map(|id| HandOver(Arc::clone(&self.state), id))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = &self.state;
        state.idle.store(state.micros(Instant::now()), Ordering::Release);
        if let Some(answered) = self.answered {
            state.untaken.end(answered, self.is_written);
        }
        state.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
