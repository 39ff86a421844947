//! Why the store cannot be used: for the metrics, and for the code that continues without it.

use crate::metrics::SharedError;

/// Why an operation on the store failed. Each error is a miss, never a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreError(pub(super) SharedError);

/// The store is unavailable: this replica works alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

impl From<StoreError> for Unavailable {
    fn from(_: StoreError) -> Self {
        Self
    }
}
