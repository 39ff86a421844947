//! The socket under TLS. During the handshake it bounds the bytes of the peer, because TLS keeps up to 64 KiB of an
//! unfinished message.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::memory::MemoryShare;

/// A handshake up to this size needs no share of the strangers' memory. Hellos and certificates of clients are smaller.
const FREE: usize = 8 * 1024;

/// A socket that takes the memory of a large handshake from the strangers' memory.
#[derive(Debug)]
pub(super) struct HandshakeSocket {
    stream: TcpStream,
    /// `None` after the handshake.
    handshake: Option<Handshake>,
}

#[derive(Debug)]
struct Handshake {
    received: usize,
    memory: MemoryShare,
}

impl HandshakeSocket {
    /// Begins a handshake on this socket.
    pub(super) fn new(stream: TcpStream, memory: MemoryShare) -> Self {
        Self { stream, handshake: Some(Handshake { received: 0, memory }) }
    }

    /// The socket itself.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Removes the bound of the handshake, and gives its memory back.
    pub(super) fn end_handshake(&mut self) {
        self.handshake = None;
    }
}

impl Handshake {
    /// Fails when the handshake needs more memory than is left.
    fn receive(&mut self, bytes: usize) -> io::Result<()> {
        self.received += bytes;
        if self.memory.grow_to(self.received.saturating_sub(FREE)) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::OutOfMemory, "too many large handshakes at once"))
        }
    }
}

impl AsyncRead for HandshakeSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let bytes = buffer.filled().len() - before;
        Poll::Ready(self.handshake.as_mut().map_or(Ok(()), |handshake| handshake.receive(bytes)))
    }
}

impl AsyncWrite for HandshakeSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
