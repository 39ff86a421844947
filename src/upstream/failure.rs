//! Why a read brought no balance: the classification of each failure, the log lines about failures, and the last one
//! for `/status`.

pub(super) mod cause;
pub(super) mod classify;
mod failed_read;
mod failure_log;
mod last;
pub(super) mod retry_after;

pub(super) use cause::{ConnectError, SelfSigned};
pub(super) use failed_read::FailedRead;
pub(super) use failure_log::FailureLog;
pub use last::{Last, LastFailure};
