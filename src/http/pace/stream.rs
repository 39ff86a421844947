//! The stream under hyper, which watches its peer's pace.

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

use super::{Pace, Protocol};

/// A balance with its head is some 800 bytes.
const SMALL_ANSWER: usize = 2 * 1024;

/// How HTTP/2's preface begins; no method of HTTP/1.1 does.
const HTTP2_BEGINS: [u8; 3] = *b"PRI";

/// A stream that fails with `TimedOut` when its peer is too slow.
#[derive(Debug)]
pub(in crate::http) struct Paced<T> {
    io: T,
    pace: Arc<Pace>,
    protocol: Protocol,
    /// What told the protocol, until it is read again.
    opening: Opening,
    has_read: bool,
    /// Since when the head in `Pace::reads_head` is awaited; set once a read has to wait for more of it.
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
    pub(in crate::http) fn new(io: T, pace: Arc<Pace>) -> Self {
        let head_since = Some(pace.accepted);
        let (protocol, opening) = (Protocol::Http1, Opening::default());
        Self { io, pace, protocol, opening, has_read: false, head_since, blocked_since: None, timer: None }
    }

    fn note_read(&mut self) {
        self.has_read = true;
        if self.protocol == Protocol::Http1 && !self.pace.is_busy() && !self.pace.reads_head() {
            self.pace.reads_head.store(true, Ordering::Release);
            self.head_since = None;
        }
    }

    /// Until when the peer may stay silent; no limit while only our own answer is awaited.
    fn read_deadline(&mut self) -> Option<Instant> {
        let (pace, limits) = (&self.pace, self.pace.limits);
        if pace.unread.load(Ordering::Acquire) > 0 {
            // On HTTP/2 the newest answer counts: a peer that takes nothing gets no new ones for long, because the
            // connection has an age.
            Some(pace.get(&pace.answered) + limits.request_timeout)
        } else if pace.is_busy() {
            None
        } else if pace.reads_head() {
            Some(*self.head_since.get_or_insert_with(Instant::now) + limits.header_timeout)
        } else {
            Some(pace.get(&pace.idle) + limits.idle_timeout)
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
        // A peer that never sent a byte is not late with a head, it is only there.
        let is_late = self.has_read && !self.pace.is_busy() && self.pace.reads_head();
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
    pub(in crate::http) async fn open(&mut self) -> io::Result<Option<Protocol>> {
        let mut seen = Opening::default();
        while seen.is_undecided() {
            match self.read(&mut seen.bytes[seen.len..]).await? {
                0 => return Ok(None),
                more => seen.len += more,
            }
        }
        self.protocol = if seen.bytes == HTTP2_BEGINS { Protocol::Http2 } else { Protocol::Http1 };
        self.opening = seen;
        Ok(Some(self.protocol))
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
            this.note_read();
        } else {
            this.pace.is_gone.store(true, Ordering::Release);
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
