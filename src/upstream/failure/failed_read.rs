//! Why a read brought no snapshot, while it is still inside `upstream`.

use std::time::{Duration, Instant};

use crate::domain::{FailureSeries, Hold, UpstreamError};
use crate::metrics::Operation;
use crate::upstream::targets;

/// A read that brought no snapshot.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct FailedRead {
    pub(in crate::upstream) error: UpstreamError,
    /// The call that failed; `None` if none was made.
    operation: Option<Operation>,
    /// When the failed attempt was sent.
    pub(in crate::upstream) sent_at: Option<Instant>,
    pub(in crate::upstream) hold: Hold,
    /// For a read that was refused before a call: the time until the next read may be useful.
    pub(in crate::upstream) retry_in: Option<Duration>,
}

impl FailedRead {
    /// A read whose attempt failed.
    pub(in crate::upstream) fn after_attempt(
        error: UpstreamError,
        operation: Operation,
        sent_at: Instant,
    ) -> Self {
        Self { error, operation: Some(operation), sent_at: Some(sent_at), hold: error.hold(), retry_in: None }
    }

    /// A read that was refused before a call was sent.
    pub(in crate::upstream) fn unsent(error: UpstreamError, retry_in: Duration) -> Self {
        Self { error, operation: None, sent_at: None, hold: Hold::None, retry_in: Some(retry_in) }
    }

    /// A read whose credentials were refused again before a renewal was due.
    pub(in crate::upstream) fn refused_again(left: Duration) -> Self {
        Self { hold: Hold::RetryAfter(left), ..Self::unsent(UpstreamError::Refused, left) }
    }

    /// The same read, with the hold of a new token that the provider does not accept yet.
    pub(in crate::upstream) fn with_unsettled_token(self) -> Self {
        let [first, most] = [1, 5].map(Duration::from_secs);
        Self { hold: Hold::Doubling { series: FailureSeries::NewToken, first, most }, ..self }
    }

    /// Whether a new token was refused, which proves nothing about the credentials.
    pub(in crate::upstream) fn has_unsettled_token(&self) -> bool {
        matches!(self.hold, Hold::Doubling { series: FailureSeries::NewToken, .. })
    }

    /// A request that cannot be built: a defect of ours.
    pub(in crate::upstream) fn defect(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(target: targets::FAILED_READ, error, "a request to a provider cannot be built");
        Self {
            error: UpstreamError::Defect,
            operation: None,
            sent_at: None,
            hold: Hold::None,
            retry_in: None,
        }
    }

    /// Whether the hold applies to the whole account: refused credentials, the token endpoint, 429, 503 with `Retry-After`.
    pub(in crate::upstream) fn concerns_account(&self) -> bool {
        let by_kind = match self.hold {
            Hold::RetryAfter(_)
            | Hold::Doubling {
                series: FailureSeries::Credentials | FailureSeries::NewToken | FailureSeries::Throttled,
                ..
            } => true,
            Hold::Doubling { series: FailureSeries::Outage, .. } | Hold::Fixed(_) | Hold::None => false,
        };
        by_kind || self.operation == Some(Operation::Token)
    }
}
