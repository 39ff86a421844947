//! One request from its head to the end of its answer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant as StdInstant,
};

use tokio::time::Instant;

use super::gate::FrameGate;
use super::part::PartGuard;
use super::state::{ConnectionState, Protocol};
use super::untaken::{NONE, UntakenAnswer};
use crate::server::delivery::Delivery;

/// Maximum of unread answers to strangers on one connection. A browser that loads a page has fewer.
const MOST_TO_STRANGERS: usize = 8;

/// This many unread answers need no share of the strangers' memory.
const FREE_TO_STRANGERS: usize = 2;
/// Bytes of memory for one unread answer, mostly for its task.
const UNTAKEN_ANSWER: usize = 8 * 1024;

/// One request from its head to the end of its answer.
#[derive(Debug)]
pub(in crate::server) struct Exchange {
    state: Arc<ConnectionState>,
    /// The answer's number among the untaken ones; `None` before the answer begins, and if it is open-ended.
    untaken_id: Option<u64>,
    /// HTTP/1: when the answer began, in microseconds since the accept; else [`NONE`].
    began: u64,
    /// When the answer must have left, in microseconds since the accept, or [`NONE`].
    taken_by: u64,
    /// The answer is open-ended.
    is_open_ended: bool,
    /// The answer's last bytes are on their way to the kernel.
    is_written: bool,
}

/// Marks an answer as handed over when the stream's task drops its body: h2 then holds the remaining bytes.
#[derive(Debug)]
pub(in crate::server) struct HandOver(Arc<ConnectionState>, u64);

impl Drop for HandOver {
    fn drop(&mut self) {
        self.0.untaken.hand_over(self.1);
    }
}

impl Exchange {
    pub(in crate::server) fn begin(state: &Arc<ConnectionState>, has_body: bool) -> Self {
        state.in_flight.fetch_add(1, Ordering::AcqRel);
        state.reads_head.store(false, Ordering::Release);
        state.has_body.store(has_body, Ordering::Release);
        Self {
            state: Arc::clone(state),
            untaken_id: None,
            began: NONE,
            taken_by: NONE,
            is_open_ended: false,
            is_written: false,
        }
    }

    /// Marks the answer as open-ended: the peer is bounded only while a write waits.
    pub(in crate::server) fn open_end(&mut self) {
        self.is_open_ended = true;
    }

    /// Notes that the answer is complete. The connection closes after an open-ended one, so that its client reconnects,
    /// perhaps to another replica.
    pub(in crate::server) fn end(&self) {
        if self.is_open_ended {
            self.state.must_close.store(true, Ordering::Release);
        }
    }

    /// Notes that the answer begins: from now on, the peer has `request_timeout` to read it. Returns whether the
    /// connection must close after the answer, for example because the head was refused.
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
        if delivery.is_known {
            state.note_known();
        }
        // Each frame of an open-ended answer has a deadline of its own.
        if !self.is_open_ended {
            let began = state.micros(now);
            if protocol == Protocol::Http1 {
                self.began = began;
            }
            self.untaken_id = Some(state.untaken.begin(UntakenAnswer {
                id: 0,
                began,
                taken_by,
                is_handed_over: protocol == Protocol::Http1,
                is_known: delivery.is_known,
            }));
        }
        let is_old = now.saturating_duration_since(state.accepted) >= state.limits.max_connection_age;
        // hyper keeps the buffer of a large head as long as the connection.
        let is_large = !delivery.is_known && protocol == Protocol::Http1 && state.memory.is_used();
        let is_last = is_refused || is_old || is_large || state.shutdown.is_draining();
        if is_last {
            state.must_close.store(true, Ordering::Release);
        }
        is_last
    }

    /// The [`PartGuard`] for bytes that are not the answer's last; `None` if the answer has no deadline.
    pub(in crate::server) fn part(&self) -> Option<PartGuard> {
        let part = || PartGuard { state: Arc::clone(&self.state), taken_by: self.taken_by, gate: None };
        (self.taken_by != NONE).then(part)
    }

    /// The [`PartGuard`] for one frame of an open-ended answer, and the moment by which the peer must have made room
    /// for the frame. Closes the gate until the frame has left.
    pub(in crate::server) fn frame(
        &self,
        taken_by: Option<StdInstant>,
        protocol: Protocol,
        gate: &FrameGate,
    ) -> (PartGuard, Instant) {
        let state = &self.state;
        gate.close();
        let latest = Instant::now() + state.limits.request_timeout;
        let deadline = taken_by.map_or(latest, |taken_by| latest.min(taken_by.into()));
        let taken_by = taken_by.map_or(NONE, |taken_by| state.micros(taken_by.into()));
        let part = PartGuard { state: Arc::clone(state), taken_by, gate: Some(gate.clone()) };
        if protocol == Protocol::Http1 {
            // The connection holds the frame from now on; on HTTP/2 the stream's task does.
            part.note_written();
        }
        (part, deadline)
    }

    /// Notes that the answer's last bytes are on their way to the kernel.
    pub(in crate::server) fn note_written(&mut self) {
        self.is_written = true;
    }

    /// Whether the answer must be refused because the peer has left too many earlier ones unread. Only strangers are
    /// bounded.
    pub(in crate::server) fn has_too_many_unread(&self, delivery: Delivery) -> bool {
        if delivery.is_known {
            return false;
        }
        let untaken = self.state.untaken.of_strangers();
        let beyond = untaken.saturating_sub(FREE_TO_STRANGERS);
        untaken >= MOST_TO_STRANGERS || !self.state.answers_memory.grow_to(beyond * UNTAKEN_ANSWER)
    }

    /// When the exchange ends, in microseconds since the accept. On HTTP/1 the exchange ends with its last write, so
    /// the clock reading before that write is used.
    fn ended_at(&self) -> u64 {
        let wrote = self.state.wrote.load(Ordering::Acquire);
        if wrote >= self.began { wrote } else { self.state.micros(Instant::now()) }
    }

    /// On HTTP/2: the guard that the stream's task holds until it drops the answer.
    pub(in crate::server) fn hand_over(&self) -> Option<HandOver> {
        self.untaken_id.map(|id| HandOver(Arc::clone(&self.state), id))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = &self.state;
        state.idle.store(self.ended_at(), Ordering::Release);
        if let Some(untaken_id) = self.untaken_id {
            state.untaken.end(untaken_id, self.is_written);
        }
        state.ended.fetch_add(1, Ordering::AcqRel);
        state.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
