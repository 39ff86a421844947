//! The state of one connection, shared by its stream and its requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::untaken::{NONE, UntakenAnswers};
use crate::server::{
    memory::{MemoryShare, SharedMemory},
    settings::ListenerSettings,
};
use crate::shutdown::Shutdown;

/// This many concurrent streams of a connection need no share of the strangers' memory.
const FREE_STREAMS: usize = 4;
/// Bytes of memory that h2 keeps for each concurrent stream, even after the stream has ended.
const STREAM: usize = 2 * 1024;

/// The protocol of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The state of one connection, shared by its stream and its requests.
///
/// On HTTP/2, requests may end in tasks of their own. A task writes a moment, such as `idle`, before it changes the
/// counter that depends on it, such as `in_flight`. So a reader that sees the new counter sees the new moment, too.
#[derive(Debug)]
pub(in crate::server) struct ConnectionState {
    pub(super) accepted: Instant,
    pub(super) limits: ListenerSettings,
    pub(super) shutdown: Shutdown,
    /// Memory for the unfinished head of a stranger.
    pub(super) memory: MemoryShare,
    /// Memory for the largest number of streams that a stranger has had open at once. h2 keeps it after they have
    /// ended.
    pub(super) streams_memory: MemoryShare,
    /// Requests that have ended.
    pub(super) ended: AtomicU32,
    /// Memory for answers that a stranger has not read.
    pub(super) answers_memory: MemoryShare,
    /// An earlier answer was to a known caller. The connection no longer needs a share of the strangers' memory.
    pub(super) is_known: AtomicBool,
    /// The first head is awaited, or a later one has begun. On HTTP/2 it is true only until the first request begins.
    pub(super) reads_head: AtomicBool,
    /// Requests whose exchange has not ended.
    pub(super) in_flight: AtomicU32,
    /// The request that began last has a body.
    pub(super) has_body: AtomicBool,
    /// The answers that the peer has not taken in full.
    pub(super) untaken: UntakenAnswers,
    /// When an exchange last ended, in microseconds since `accepted`.
    pub(super) idle: AtomicU64,
    /// When the clock was last read before a write, in microseconds since `accepted`.
    pub(super) wrote: AtomicU64,
    /// A head has begun and has not ended in time, or there was too little memory for the request.
    pub(super) is_late: AtomicBool,
    /// A head was refused and counted.
    has_refused_head: AtomicBool,
    /// The connection must close after the answers in flight.
    pub(super) must_close: AtomicBool,
}

impl ConnectionState {
    /// Notes that the caller is known, and gives the connection's share of the strangers' memory back.
    pub(super) fn note_known(&self) {
        if !self.is_known.load(Ordering::Acquire) && !self.is_known.swap(true, Ordering::AcqRel) {
            self.memory.release();
            self.streams_memory.release();
            self.answers_memory.release();
        }
    }

    /// Takes memory for a stranger on HTTP/2: `open_fields` bytes for an unfinished header block, and more for each
    /// open stream. False when too little memory is free.
    pub(super) fn take_memory(&self, open_fields: usize, begun: u32) -> bool {
        let open = begun.wrapping_sub(self.ended.load(Ordering::Acquire));
        let beyond = usize::try_from(open).unwrap_or_default().saturating_sub(FREE_STREAMS);
        self.memory.resize(open_fields) && self.streams_memory.grow_to(beyond * STREAM)
    }

    pub(in crate::server) fn new(
        accepted: Instant,
        limits: ListenerSettings,
        shutdown: Shutdown,
        memory: &SharedMemory,
    ) -> Arc<Self> {
        Arc::new(Self {
            accepted,
            limits,
            shutdown,
            memory: memory.share(),
            streams_memory: memory.share(),
            ended: AtomicU32::new(0),
            answers_memory: memory.share(),
            reads_head: AtomicBool::new(true),
            in_flight: AtomicU32::new(0),
            has_body: AtomicBool::new(false),
            untaken: UntakenAnswers::new(),
            idle: AtomicU64::new(0),
            wrote: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
            has_refused_head: AtomicBool::new(false),
            must_close: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
        })
    }

    pub(in crate::server) fn header_timeout(&self) -> Duration {
        self.limits.header_timeout
    }

    /// Whether the connection must close after the answers in flight.
    pub(in crate::server) fn must_close(&self) -> bool {
        self.must_close.load(Ordering::Acquire)
    }

    pub(in crate::server) fn reads_head(&self) -> bool {
        self.reads_head.load(Ordering::Acquire)
    }

    pub(in crate::server) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Acquire)
    }

    /// Notes that a head was refused; returns whether it is the first refused head of the connection.
    pub(in crate::server) fn refuse_head(&self) -> bool {
        !self.has_refused_head.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    pub(in crate::server) fn had_body(&self) -> bool {
        self.has_body.load(Ordering::Acquire)
    }

    /// The start of the oldest answer that the peer has not taken in full.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        self.moment(self.untaken.oldest())
    }

    /// The earliest deadline of the bytes that the connection or the kernel may hold.
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
