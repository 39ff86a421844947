//! The stream under hyper, which applies the peer time-outs.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    heads::Heads,
    pace::{Pace, Protocol},
};

/// A balance with its head has about 800 bytes.
const SMALL_ANSWER: usize = 2 * 1024;

/// How HTTP/2's preface begins; no method of HTTP/1.1 does.
const HTTP2_BEGINS: [u8; 3] = *b"PRI";

/// A stream that fails with `TimedOut` when its peer is too slow.
#[derive(Debug)]
pub(in crate::server) struct Paced<T> {
    io: T,
    pace: Arc<Pace>,
    heads: Heads,
    /// What told the protocol, until it is read again.
    opening: Opening,
    has_read: bool,
    /// Since when a head is awaited, the first one or one that has begun; set once a read has to wait for more of it.
    head_since: Option<Instant>,
    /// The first write since the last completed flush that had to wait.
    blocked_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Default)]
struct Opening {
    bytes: [u8; HTTP2_BEGINS.len()],
    len: usize,
}

impl<T> Paced<T> {
    pub(in crate::server) fn new(io: T, pace: Arc<Pace>) -> Self {
        let head_since = Some(pace.accepted);
        let (heads, opening) = (Heads::http1(), Opening::default());
        Self { io, pace, heads, opening, has_read: false, head_since, blocked_since: None, timer: None }
    }

    fn note_read(&mut self, bytes: &[u8]) {
        self.has_read = true;
        let has_ended = self.heads.read(bytes);
        if self.pace.reads_head() {
            return;
        }
        match self.heads {
            Heads::Http1(_) if !self.pace.is_busy() => self.begin_head(),
            Heads::Http2(_) if has_ended => self.head_since = None,
            Heads::Http1(_) | Heads::Http2(_) => {}
        }
    }

    fn begin_head(&mut self) {
        self.pace.reads_head.store(true, Ordering::Release);
        self.head_since = None;
    }

    /// Whether a head is awaited or has begun; one that was sent behind the last request begins when that is over.
    fn awaits_head(&mut self) -> bool {
        if self.pace.reads_head() {
            return true;
        }
        let is_inside = self.heads.is_inside(self.pace.had_body());
        if is_inside && matches!(self.heads, Heads::Http1(_)) {
            self.begin_head();
        }
        is_inside
    }

    /// Until when the peer may stay silent; no limit while only our own answer is awaited.
    fn read_deadline(&mut self) -> Option<Instant> {
        let limits = self.pace.limits;
        if let Some(since) = self.pace.unread_since() {
            Some(since + limits.request_timeout)
        } else if self.pace.is_busy() {
            None
        } else if self.awaits_head() {
            Some(*self.head_since.get_or_insert_with(Instant::now) + limits.header_timeout)
        } else {
            Some(self.pace.idle_since() + limits.idle_timeout)
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

    fn poll_late_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(deadline) = self.read_deadline() else { return Poll::Pending };
        let error = ready!(self.poll_late(cx, deadline));
        // A peer that never sent a byte is idle, not late with a head.
        let is_late = self.has_read && !self.pace.is_busy() && self.awaits_head();
        self.pace.is_late.fetch_or(is_late, Ordering::AcqRel);
        Poll::Ready(error)
    }

    fn bound_write<O>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<O>>) -> Poll<io::Result<O>> {
        if write.is_ready() {
            return write;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        self.poll_late(cx, since + self.pace.limits.request_timeout).map(Err)
    }
}

impl<T: AsyncRead + Unpin> Paced<T> {
    /// Waits for the first bytes and says what the peer speaks; none if it left before that was clear.
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

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.opening.len > 0 {
            // Both of hyper's buffers are larger by far, so nothing is left over.
            let len = std::mem::take(&mut this.opening.len).min(buf.remaining());
            buf.put_slice(&this.opening.bytes[..len]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.io).poll_read(cx, buf) else {
            return this.poll_late_read(cx).map(Err);
        };
        if buf.filled().len() > before {
            this.note_read(&buf.filled()[before..]);
        }
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_write(cx, buf);
        this.bound_write(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = match joined(bufs, &mut [0; SMALL_ANSWER]) {
            Some(answer) => Pin::new(&mut this.io).poll_write(cx, answer),
            None => Pin::new(&mut this.io).poll_write_vectored(cx, bufs),
        };
        this.bound_write(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flush = Pin::new(&mut this.io).poll_flush(cx);
        if !matches!(flush, Poll::Ready(Ok(()))) {
            return this.bound_write(cx, flush);
        }
        this.blocked_since = None;
        // hyper asked for the next request while it was busy and does not ask again, so idleness is timed from here.
        match this.poll_late_read(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shutdown = Pin::new(&mut this.io).poll_shutdown(cx);
        this.bound_write(cx, shutdown)
    }
}

/// The slices in one piece, where they fit: for a small answer, head and body, one copy costs less than what the
/// kernel does for two slices.
fn joined<'a>(slices: &[io::IoSlice<'_>], room: &'a mut [u8; SMALL_ANSWER]) -> Option<&'a [u8]> {
    let mut length = 0;
    for slice in slices {
        room.get_mut(length..length + slice.len())?.copy_from_slice(slice);
        length += slice.len();
    }
    Some(&room[..length])
}
