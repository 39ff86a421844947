//! The stream under hyper, which applies the peer time-outs.

mod deadlines;
mod transfer;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, atomic::Ordering};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, Sleep};

use super::{
    heads::Heads,
    state::{ConnectionState, Protocol},
};
use crate::server::wire::Wire;

/// Maximum bytes of one read on HTTP/1: half of hyper's first buffer.
const READ_STEP: usize = 4 * 1024;

/// A head up to this size needs no share of the strangers' memory. Heads of browsers and clients are smaller.
const SMALL_HEAD: usize = 8 * 1024;
/// HTTP/2: bytes of memory for a header block whose end is missing. The worst case is two thousand small fields,
/// unpacked. Few clients split a header block.
const OPEN_FIELDS: usize = 256 * 1024;

/// The start of HTTP/2's preface. No method of HTTP/1.1 begins with it.
const HTTP2_BEGINS: [u8; 3] = *b"PRI";

/// A stream that fails with `TimedOut` when its peer is too slow.
#[derive(Debug)]
pub(in crate::server) struct TimedStream<T: Wire> {
    io: T,
    state: Arc<ConnectionState>,
    heads: Heads,
    /// The bytes that revealed the protocol, until hyper reads them.
    opening: Opening,
    has_read: bool,
    /// HTTP/1: the bytes of the head that is being read.
    head_length: usize,
    /// The start of the header time-out: the accept for the first head, for a later one the first read that has to wait
    /// for more of it.
    head_since: Option<Instant>,
    /// The moment of the first write that had to wait since the last completed flush.
    blocked_since: Option<Instant>,
    /// When to check next whether the kernel has sent all due bytes.
    check_at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Default)]
struct Opening {
    bytes: [u8; HTTP2_BEGINS.len()],
    len: usize,
}

impl<T: Wire> TimedStream<T> {
    pub(in crate::server) fn new(io: T, state: Arc<ConnectionState>) -> Self {
        let head_since = Some(state.accepted);
        let (heads, opening) = (Heads::http1(), Opening::default());
        Self {
            io,
            state,
            heads,
            opening,
            has_read: false,
            head_length: 0,
            head_since,
            blocked_since: None,
            check_at: None,
            timer: None,
        }
    }

    /// Fails when a stranger's head needs more memory than is left.
    fn note_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.has_read = true;
        let has_ended = self.heads.read(bytes);
        self.note_time(has_ended);
        self.head_length = if self.state.reads_head() { self.head_length + bytes.len() } else { 0 };
        let state = &self.state;
        let has_memory = match &self.heads {
            Heads::Http1(_) if self.head_length <= SMALL_HEAD => true,
            _ if state.is_known.load(Ordering::Acquire) => true,
            Heads::Http1(_) => state.memory.grow_to(head_memory(self.head_length)),
            Heads::Http2(frames) => {
                let open_fields = if frames.has_open_fields() { OPEN_FIELDS } else { 0 };
                state.take_memory(open_fields, frames.begun())
            }
        };
        if has_memory {
            return Ok(());
        }
        self.state.is_late.store(true, Ordering::Release);
        Err(io::ErrorKind::OutOfMemory.into())
    }

    fn note_time(&mut self, has_ended: bool) {
        if self.state.reads_head() {
            return;
        }
        match self.heads {
            Heads::Http1(_) if !self.state.is_busy() => self.begin_head(),
            Heads::Http2(_) if has_ended => self.head_since = None,
            Heads::Http1(_) | Heads::Http2(_) => {}
        }
    }

    fn begin_head(&mut self) {
        self.state.reads_head.store(true, Ordering::Release);
        self.head_length = 0;
        self.head_since = None;
    }

    /// Whether a head is awaited or has begun. A pipelined head begins when the request before it has ended.
    fn awaits_head(&mut self) -> bool {
        if self.state.reads_head() {
            return true;
        }
        let is_inside = self.heads.is_inside(self.state.had_body());
        if is_inside && matches!(self.heads, Heads::Http1(_)) {
            self.begin_head();
        }
        is_inside
    }
}

impl<T: Wire> Drop for TimedStream<T> {
    /// Resets a connection that ends without a shutdown while the kernel holds due bytes: the kernel would still send
    /// them.
    fn drop(&mut self) {
        if self.state.due().is_some() && self.io.has_unsent() {
            self.io.reset_on_close();
        }
    }
}

impl<T: AsyncRead + Wire + Unpin> TimedStream<T> {
    /// Waits for the first bytes and returns the protocol; `None` if the peer leaves first.
    pub(in crate::server) async fn open(&mut self) -> io::Result<Option<Protocol>> {
        let mut seen = Opening::default();
        while seen.is_undecided() {
            match self.read(&mut seen.bytes[seen.len..]).await? {
                0 => return Ok(None),
                more => seen.len += more,
            }
        }
        let protocol = if seen.bytes == HTTP2_BEGINS { Protocol::Http2 } else { Protocol::Http1 };
        if protocol == Protocol::Http2 {
            self.heads = Heads::http2(seen.len);
        }
        self.opening = seen;
        Ok(Some(protocol))
    }
}

impl Opening {
    fn is_undecided(&self) -> bool {
        self.len < HTTP2_BEGINS.len() && HTTP2_BEGINS.starts_with(&self.bytes[..self.len])
    }
}

/// The size of hyper's buffer for a head of this length. hyper doubles the buffer before it is full.
fn head_memory(length: usize) -> usize {
    (length + 2 * READ_STEP).next_power_of_two()
}
