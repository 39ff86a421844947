//! The last success and failure of a provider, for `/status`.

use std::fmt;

use jiff::Timestamp;

use crate::domain::{ErrorKind, UpstreamError};
use crate::metrics::{Label, Operation};

/// The last success and failure, for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last {
    /// When a balance was last read.
    pub success: Option<Timestamp>,
    /// The last attempt that failed.
    pub failure: Option<LastFailure>,
}

/// One attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct LastFailure {
    /// When it ended.
    pub at: Timestamp,
    /// The failed call.
    pub operation: Operation,
    /// Its kind, as the metrics count it.
    pub kind: ErrorKind,
    /// The reason, down to the last cause.
    pub error: UpstreamError,
}

impl fmt::Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} call: {}", self.operation.as_str(), self.error)
    }
}
