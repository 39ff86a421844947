//! The stream under hyper, which applies the peer time-outs.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    heads::Heads,
    state::{ConnectionState, Protocol},
};
use crate::server::wire::Wire;

/// A balance with its head has about 800 bytes.
const SMALL_ANSWER: usize = 2 * 1024;

/// Bytes of one read on HTTP/1: half of hyper's first buffer.
const READ_STEP: usize = 4 * 1024;

/// A head of this size needs no share of the strangers' memory. Heads of browsers and clients are smaller.
const SMALL_HEAD: usize = 8 * 1024;
/// HTTP/2: header fields whose end is missing, at their worst: two thousand small fields, unpacked. Few clients send such.
const OPEN_FIELDS: usize = 256 * 1024;

/// Interval of the checks whether the kernel has sent the due bytes.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(5);

/// How HTTP/2's preface begins; no method of HTTP/1.1 does.
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
    /// Since when a head is awaited, the first one or one that has begun; set once a read has to wait for more of it.
    head_since: Option<Instant>,
    /// The first write since the last completed flush that had to wait.
    blocked_since: Option<Instant>,
    /// When to check next whether the kernel has sent all due bytes.
    look_at: Option<Instant>,
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
            look_at: None,
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

    /// Whether a head is awaited or has begun; one that was sent behind the last request begins when that is over.
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

    /// Until when the peer may stay silent; no limit while only our own answer is awaited.
    fn read_deadline(&mut self) -> Option<Instant> {
        let limits = self.state.limits;
        if let Some(since) = self.state.unread_since() {
            Some(since + limits.request_timeout)
        } else if self.state.is_busy() {
            None
        } else if self.awaits_head() {
            Some(*self.head_since.get_or_insert_with(Instant::now) + limits.header_timeout)
        } else {
            Some(self.state.idle_since() + limits.idle_timeout)
        }
    }

    /// Ready with the error once the deadline has passed; otherwise the task is woken by then.
    fn poll_late(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() < deadline {
            timer.as_mut().reset(deadline);
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Checks at intervals whether the kernel has sent all due bytes. Resets the connection after the deadline.
    fn look_at_due(&mut self, now: Instant) -> io::Result<()> {
        let Some(due) = self.state.due() else { return Ok(()) };
        if self.look_at.is_some_and(|look_at| now < look_at) && now < due {
            return Ok(());
        }
        if self.look_at.is_some() && self.blocked_since.is_none() && !self.io.has_unsent() {
            self.state.untaken.note_all_sent();
        }
        let Some(due) = self.state.due() else {
            self.look_at = None;
            return Ok(());
        };
        let left = due.saturating_duration_since(now);
        if left.is_zero() {
            return Err(self.reset());
        }
        self.look_at = Some(now + (left / 2).clamp(SHORTEST_LOOK, LONGEST_LOOK).min(left));
        Ok(())
    }

    /// Checks the deadline before a write: after a suspend of the machine it may have passed.
    fn look_before_write(&mut self) -> io::Result<()> {
        if self.state.due().is_some() { self.look_at_due(Instant::now()) } else { Ok(()) }
    }

    /// Drops the bytes that the kernel holds.
    fn reset(&self) -> io::Error {
        self.io.reset_on_close();
        io::ErrorKind::TimedOut.into()
    }

    /// Repeats the check for due bytes; ready with the error when a deadline has passed.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.state.due().is_some() {
            let now = Instant::now();
            if let Err(error) = self.look_at_due(now) {
                return Poll::Ready(error);
            }
            let Some(look_at) = self.look_at else { break };
            if look_at > now {
                // Ready only if the deadline has passed since the check.
                let _ = ready!(self.poll_late(cx, look_at));
            }
        }
        Poll::Pending
    }

    fn poll_late_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Poll::Ready(error) = self.poll_due(cx) {
            return Poll::Ready(error);
        }
        let Some(deadline) = self.read_deadline() else { return Poll::Pending };
        let error = ready!(self.poll_late(cx, deadline));
        // A peer that never sent a byte is idle, not late with a head.
        let is_late = self.has_read && !self.state.is_busy() && self.awaits_head();
        self.state.is_late.fetch_or(is_late, Ordering::AcqRel);
        if self.state.unread_since().is_some() {
            self.io.reset_on_close();
        }
        Poll::Ready(error)
    }

    fn bound_write<O>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<O>>) -> Poll<io::Result<O>> {
        if write.is_ready() {
            return write;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        let deadline = since + self.state.limits.request_timeout;
        let deadline = self.state.due().map_or(deadline, |due| deadline.min(due));
        self.poll_late(cx, deadline).map(|_| Err(self.reset()))
    }
}

impl<T: Wire> Drop for TimedStream<T> {
    /// A connection that ends without a shutdown leaves no due bytes in the kernel.
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

impl<T: AsyncRead + Wire + Unpin> AsyncRead for TimedStream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.opening.len > 0 {
            // Both of hyper's buffers are larger by far, so nothing is left over.
            let len = std::mem::take(&mut this.opening.len).min(buf.remaining());
            buf.put_slice(&this.opening.bytes[..len]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let Poll::Ready(read) = this.poll_step(cx, buf) else {
            return this.poll_late_read(cx).map(Err);
        };
        if buf.filled().len() > before {
            this.note_read(&buf.filled()[before..])?;
        }
        Poll::Ready(read)
    }
}

impl<T: AsyncRead + Wire + Unpin> TimedStream<T> {
    /// Reads small pieces on HTTP/1: hyper doubles a buffer that one read fills, and never shrinks it.
    fn poll_step(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if matches!(self.heads, Heads::Http2(_)) || buf.remaining() <= READ_STEP {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let mut room = [MaybeUninit::uninit(); READ_STEP];
        let mut step = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut step))?;
        buf.put_slice(step.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Wire + Unpin> AsyncWrite for TimedStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.look_before_write()?;
        let write = Pin::new(&mut this.io).poll_write(cx, buf);
        this.bound_write(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.look_before_write()?;
        let write = match joined(bufs, &mut [0; SMALL_ANSWER]) {
            Some(answer) => Pin::new(&mut this.io).poll_write(cx, answer),
            None => Pin::new(&mut this.io).poll_write_vectored(cx, bufs),
        };
        this.bound_write(cx, write)
    }

    /// Not on HTTP/2: then h2 joins an answer's small frames in one write.
    fn is_write_vectored(&self) -> bool {
        matches!(self.heads, Heads::Http1(_)) && self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flush = Pin::new(&mut this.io).poll_flush(cx);
        if !matches!(flush, Poll::Ready(Ok(()))) {
            return this.bound_write(cx, flush);
        }
        this.blocked_since = None;
        this.state.untaken.note_flushed();
        // hyper asked for the next request while it was busy and does not ask again, so idleness is timed from here.
        match this.poll_late_read(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The kernel continues to send after a close, so the socket closes when all due bytes are sent.
        this.look_at = this.state.due().map(|_| Instant::now());
        if let Poll::Ready(error) = this.poll_due(cx) {
            return Poll::Ready(Err(error));
        }
        if this.state.due().is_some() {
            return Poll::Pending;
        }
        let shutdown = Pin::new(&mut this.io).poll_shutdown(cx);
        this.bound_write(cx, shutdown)
    }
}

/// The size of hyper's buffer for a head of this length. hyper doubles it before it is full.
fn head_memory(length: usize) -> usize {
    (length + 2 * READ_STEP).next_power_of_two()
}

/// Joins the slices if they fit. For a small answer, one copy of head and body costs less than a write of two slices.
fn joined<'a>(slices: &[io::IoSlice<'_>], room: &'a mut [u8; SMALL_ANSWER]) -> Option<&'a [u8]> {
    let mut length = 0;
    for slice in slices {
        room.get_mut(length..length + slice.len())?.copy_from_slice(slice);
        length += slice.len();
    }
    Some(&room[..length])
}
