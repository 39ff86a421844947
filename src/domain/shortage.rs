//! A shortage of file descriptors in this process. It proves nothing about the peer.

use std::io;

use rustix::io::Errno;

/// Whether an operation failed because this process, or its machine, can open no more files (EMFILE, ENFILE).
#[must_use]
pub fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_codes_are_a_shortage_of_files() {
        for (errno, expected) in
            [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::CONNREFUSED, false), (Errno::NOENT, false)]
        {
            assert_eq!(is_out_of_files(&errno.into()), expected, "{errno:?}");
        }
        assert!(!is_out_of_files(&io::Error::other("Too many open files")));
    }
}
