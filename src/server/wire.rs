//! The socket under a connection: checks the kernel's send buffer, and resets the connection.

use std::net::TcpStream as StdTcpStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::handshake::HandshakeSocket;

/// The byte stream. TLS is boxed, because it would enlarge every connection.
pub(super) type Transport = Either<TcpStream, Box<TlsStream<HandshakeSocket>>>;

/// Number of unsent bytes from which the kernel reports no room for a write. With 1, the smallest value, room means
/// that the kernel has sent everything.
const UNSENT: u32 = 1;

/// A connection with a visible kernel buffer.
pub(super) trait Wire {
    /// Whether the kernel holds bytes that it has not sent, because the peer takes none.
    fn has_unsent(&self) -> bool;

    /// Makes the close of the connection a reset, which drops the bytes in the kernel.
    fn reset_on_close(&self);
}

/// Prepares a socket for [`Wire::has_unsent`], and turns off the delay of small writes.
pub(super) fn prepare(stream: &StdTcpStream) {
    // Speeds up small answers; a socket without it still works.
    let _ = stream.set_nodelay(true);
    // Also bounds the memory of answers that their peers do not take.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

impl Wire for TcpStream {
    fn has_unsent(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut sockets = [PollFd::new(self, PollFlags::OUT)];
        // If the query fails, the socket has an error and holds nothing.
        matches!(poll(&mut sockets, Some(&now)), Ok(0))
    }

    fn reset_on_close(&self) {
        // The socket is closed even if this fails.
        let _ = self.set_zero_linger();
    }
}

impl Wire for Transport {
    fn has_unsent(&self) -> bool {
        socket(self).has_unsent()
    }

    fn reset_on_close(&self) {
        socket(self).reset_on_close();
    }
}

fn socket(transport: &Transport) -> &TcpStream {
    match transport {
        Either::Left(stream) => stream,
        Either::Right(stream) => stream.get_ref().0.stream(),
    }
}
