//! What a listener does when file descriptors run out: it leaves some to other listeners, and refuses connections at once.

use std::{fs::File, io, net::TcpStream as StdTcpStream, os::fd::AsRawFd};

use futures_util::FutureExt;
use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use tokio::net::TcpListener;

/// One open file. When file descriptors run out, it is closed for a moment: its descriptor is used to accept one
/// connection and close it.
#[derive(Debug)]
pub(super) struct DescriptorReserve(Option<File>);

impl DescriptorReserve {
    /// Opens the file.
    pub(super) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Closes the file, accepts the next connection and closes it, then opens the file again. False if no connection
    /// was accepted.
    pub(super) fn refuse_next(&mut self, listener: &TcpListener) -> bool {
        let has_file = self.0.take().is_some();
        let accepted = has_file.then(|| listener.accept().now_or_never()).flatten();
        let is_refused = matches!(accepted, Some(Ok(_)));
        drop(accepted);
        *self = Self::new();
        is_refused
    }
}

/// Whether the connection leaves fewer than `spare` file descriptors. The kernel assigns the lowest free number, so a
/// high number means that few are left.
pub(super) fn leaves_fewer_files(stream: &StdTcpStream, spare: u64) -> bool {
    let number = u64::try_from(stream.as_raw_fd()).unwrap_or(0);
    getrlimit(Resource::Nofile).current.is_some_and(|limit| number + spare >= limit)
}

/// Whether this process or the system has no file descriptor left.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
