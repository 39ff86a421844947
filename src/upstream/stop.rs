//! Why a read stopped without a snapshot, while it is still inside `upstream`.

use std::time::{Duration, Instant};

use super::Operation;
use crate::domain::{Hold, HoldRow, UpstreamError};

#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) error: UpstreamError,
    /// Whose call it was; `None` where none was made.
    operation: Option<Operation>,
    /// When the failed attempt was sent.
    pub(super) sent_at: Option<Instant>,
    pub(super) hold: Hold,
    /// For a refusal: after what time it is worth asking again.
    pub(super) retry_in: Option<Duration>,
}

impl Stop {
    /// An attempt that failed.
    pub(super) fn failed(error: UpstreamError, operation: Operation, sent_at: Instant) -> Self {
        Self { error, operation: Some(operation), sent_at: Some(sent_at), hold: error.hold(), retry_in: None }
    }

    /// A read that was not let out.
    pub(super) fn refused(error: UpstreamError, retry_in: Duration) -> Self {
        Self { error, operation: None, sent_at: None, hold: Hold::None, retry_in: Some(retry_in) }
    }

    /// Credentials that were refused again before a renewal was due.
    pub(super) fn refused_again(left: Duration) -> Self {
        Self { hold: Hold::AsTold(left), ..Self::refused(UpstreamError::Refused, left) }
    }

    /// A new token that the provider did not accept in time.
    pub(super) fn of_new_token(self) -> Self {
        let [first, most] = [1, 5].map(Duration::from_secs);
        Self { hold: Hold::Doubling { row: HoldRow::NewToken, first, most }, ..self }
    }

    /// Whether a new token was refused, which says nothing of the credentials.
    pub(super) fn is_of_new_token(&self) -> bool {
        matches!(self.hold, Hold::Doubling { row: HoldRow::NewToken, .. })
    }

    /// Something that no provider can cause.
    pub(super) fn defect(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request to a provider cannot be built");
        Self {
            error: UpstreamError::Defect,
            operation: None,
            sent_at: None,
            hold: Hold::None,
            retry_in: None,
        }
    }

    /// Whether the hold is that of the account: credentials, the token endpoint, 429, 503 with `Retry-After`.
    pub(super) fn concerns_account(&self) -> bool {
        let by_kind = match self.hold {
            Hold::AsTold(_)
            | Hold::Doubling { row: HoldRow::Credentials | HoldRow::NewToken | HoldRow::Throttled, .. } => {
                true
            }
            Hold::Doubling { row: HoldRow::Outage, .. } | Hold::Fixed(_) | Hold::None => false,
        };
        by_kind || self.operation == Some(Operation::Token)
    }
}
