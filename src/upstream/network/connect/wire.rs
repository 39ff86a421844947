//! One connection to a provider, and its first bytes. They show whether the peer speaks HTTP, so the order in which two
//! failures are noticed does not matter.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The protocol that TLS chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The first bytes of one connection. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct FirstBytes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    protocol: Protocol,
    first: Mutex<Vec<u8>>,
    is_complete: AtomicBool,
}

/// The head of an HTTP/2 frame; an answer of HTTP/1 needs fewer bytes to be recognised.
const FRAME_HEAD: usize = 9;
/// The type of the first frame of every HTTP/2 server (RFC 9113, section 3.4).
const SETTINGS: u8 = 4;
const HTTP1: &[u8] = b"HTTP/1.";

impl FirstBytes {
    fn new(protocol: Protocol) -> Self {
        Self(Arc::new(Inner { protocol, first: Mutex::default(), is_complete: AtomicBool::new(false) }))
    }

    fn note(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.0.is_complete.load(Ordering::Relaxed) {
            return;
        }
        let mut first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = FRAME_HEAD.saturating_sub(first.len());
        first.extend(bytes.iter().take(missing));
        self.0.is_complete.store(first.len() >= FRAME_HEAD, Ordering::Relaxed);
    }

    /// Whether the bytes cannot begin HTTP of the chosen version.
    pub(crate) fn is_foreign(&self) -> bool {
        let first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.protocol {
            Protocol::Http1 => !first.iter().zip(HTTP1).all(|(byte, wanted)| byte == wanted),
            Protocol::Http2 => first.get(3).is_some_and(|kind| *kind != SETTINGS),
        }
    }
}

/// A connection, with or without TLS.
pub(crate) struct Wire {
    stream: Stream,
    first_bytes: FirstBytes,
    /// Set after a write has failed: further writes are discarded, and the read side ends soon.
    is_write_closed: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            first_bytes: FirstBytes::new(Protocol::Http1),
            is_write_closed: false,
        }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
        Self {
            stream: Stream::Tls(Box::new(stream)),
            first_bytes: FirstBytes::new(protocol),
            is_write_closed: false,
        }
    }

    pub(super) fn first_bytes(&self) -> &FirstBytes {
        &self.first_bytes
    }

    /// Hides a failed write from the writer. The read side reports the failure, after the bytes that the peer sent
    /// before it closed.
    fn written<T>(&mut self, ended: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
        if matches!(ended, Poll::Ready(Err(_))) {
            self.is_write_closed = true;
            return Poll::Ready(Ok(all));
        }
        ended
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.first_bytes.clone());
        match self.first_bytes.0.protocol {
            Protocol::Http1 => connected,
            Protocol::Http2 => connected.negotiated_h2(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            // Many servers end without `close_notify`. HTTP's own lengths show whether anything is missing.
            Stream::Tls(stream) => match Pin::new(stream).poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                read => read,
            },
        };
        self.first_bytes.note(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(bytes.len()));
        }
        let ended = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.written(ended, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bytes.iter().map(|bytes| bytes.len()).sum();
        if self.is_write_closed {
            return Poll::Ready(Ok(all));
        }
        let ended = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        };
        self.written(ended, all)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(()));
        }
        let ended = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.written(ended, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_show_whether_the_peer_speaks_http() {
        for (protocol, bytes, is_foreign) in [
            (Protocol::Http1, &b""[..], false),
            (Protocol::Http1, b"HTT", false),
            (Protocol::Http1, b"HTTP/1.0 200 OK", false),
            (Protocol::Http1, b"SSH-2.0", true),
            (Protocol::Http1, b"HTTP/2", true),
            (Protocol::Http2, b"", false),
            (Protocol::Http2, b"\0\0\0", false),
            (Protocol::Http2, b"\0\0\x12\x04\0\0\0\0\0", false),
            (Protocol::Http2, b"no HTTP/2", true),
            (Protocol::Http2, b"HTTP/1.1 400", true),
        ] {
            let first_bytes = FirstBytes::new(protocol);
            for byte in bytes {
                first_bytes.note(&[*byte]);
            }
            assert_eq!(first_bytes.is_foreign(), is_foreign, "{protocol:?} {bytes:?}");
        }
    }
}
