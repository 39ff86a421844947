//! Reads and writes bytes for hyper, within the deadlines.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{READ_STEP, TimedStream};
use crate::server::peer_timeouts::heads::Heads;
use crate::server::wire::Wire;

/// An answer up to this size, head included, is written in one piece. A balance has about 800 bytes.
const SMALL_ANSWER: usize = 2 * 1024;

impl<T: AsyncRead + Wire + Unpin> AsyncRead for TimedStream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.opening.len > 0 {
            // hyper's buffers for both protocols are much larger, so no byte is left over.
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
        this.check_before_write()?;
        let write = Pin::new(&mut this.io).poll_write(cx, buf);
        this.bound_write(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_before_write()?;
        let mut room = [MaybeUninit::uninit(); SMALL_ANSWER];
        let mut answer = ReadBuf::uninit(&mut room);
        let write = if join(bufs, &mut answer) {
            Pin::new(&mut this.io).poll_write(cx, answer.filled())
        } else {
            Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
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
        // hyper polled the next read while the request was in flight, and does not poll it again. So the timer for idle
        // time is armed here.
        match this.poll_late_read(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // After a close, the kernel would still send its bytes. So the socket closes only when all due bytes are sent.
        this.check_at = this.state.due().map(|_| Instant::now());
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

/// Joins the slices if they fit. For a small answer, one copy of head and body costs less than a write of two slices.
fn join(slices: &[io::IoSlice<'_>], answer: &mut ReadBuf<'_>) -> bool {
    slices.iter().all(|slice| {
        let fits = slice.len() <= answer.remaining();
        if fits {
            answer.put_slice(slice);
        }
        fits
    })
}
