//! Why a read has no balance. A failure is classified once, where it happens; its kind is also the metric label.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use super::cause::Cause;
use super::moment::rounded_up;

/// An adapter could not parse a body: where and why, never the body itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ParseError {
    /// The path of the field, or `body`.
    pub field: &'static str,
    /// The problem with it.
    pub problem: &'static str,
}

/// Why a body is not a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It does not have the documented form.
    Invalid(ParseError),
    /// The body itself reports a failure, with this HTTP status.
    Status(u16),
}

impl From<ParseError> for BodyError {
    fn from(error: ParseError) -> Self {
        Self::Invalid(error)
    }
}

/// Whole seconds to wait, at least one, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(NonZeroU64);

impl RetryAfter {
    /// The shortest wait.
    pub const ONE_SECOND: Self = Self(NonZeroU64::MIN);

    /// Rounds up to whole seconds, at least one.
    #[must_use]
    pub fn from_wait(wait: Duration) -> Self {
        Self(NonZeroU64::new(rounded_up(wait)).unwrap_or(NonZeroU64::MIN))
    }

    /// The seconds.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0.get()
    }
}

/// The kinds of failed attempts: a closed metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The connection failed or broke.
    Connect,
    /// 429, or 503 with `Retry-After`.
    Throttled,
    /// No answer in time.
    Timeout,
    /// Any other status.
    Status,
    /// 401 or 403, or the token endpoint's 400.
    Refused,
    /// A complete answer that cannot be parsed.
    Invalid,
    /// A body over the size limit.
    TooLarge,
}

impl ErrorKind {
    /// Every kind, in label order.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Throttled,
        Self::Timeout,
        Self::Status,
        Self::Refused,
        Self::Invalid,
        Self::TooLarge,
    ];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why a read failed. Cloneable, because all waiters get the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// DNS, connect, TLS, reset, or an answer cut short.
    #[error("the provider could not be reached: {0}")]
    Unreachable(Cause),
    /// No answer within the time of the attempt and of the read.
    #[error("the provider did not answer in time")]
    Timeout,
    /// 429, with the `Retry-After` of the provider if it was readable.
    #[error("the provider asked us to slow down")]
    Throttled(Option<Duration>),
    /// 503 with a readable `Retry-After`.
    #[error("the provider is unavailable and sent Retry-After")]
    Unavailable(Duration),
    /// Any other status that is not a success, or a success status with a body that reports a failure.
    #[error("{}", describe_status(*.0))]
    Status(u16),
    /// The provider rejected our credentials.
    #[error("the provider refused the credentials")]
    Refused,
    /// The answer cannot be parsed.
    #[error("the provider's answer is invalid: {0}")]
    Invalid(ParseError),
    /// The answer is over the size limit.
    #[error("the provider's answer is too large")]
    TooLarge,
    /// All slots for calls to the provider were taken until our deadline; no call was made.
    #[error("too many reads of this provider at once")]
    Busy,
    /// The breaker is open; no call was made.
    #[error("the provider is suspended after repeated failures")]
    Suspended,
    /// The outgoing budget is used up; no call was made.
    #[error("the account's budget of outgoing calls is used up")]
    BudgetExhausted,
    /// This process could not open a socket, because it is out of file descriptors; no call was made.
    #[error("the gateway is out of file descriptors")]
    OutOfFiles,
    /// Our own defect.
    #[error("the read failed because of a defect in the gateway")]
    Defect,
}

fn describe_status(status: u16) -> String {
    let but = if (200..300).contains(&status) { ", but its body reports no success" } else { "" };
    format!("the provider answered with status {status}{but}")
}

/// How long a failure is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The hold doubles with each failure in a row, from `first` to `most`.
    Doubling {
        /// The series of failures that it belongs to.
        series: FailureSeries,
        /// The hold after the first failure.
        first: Duration,
        /// The longest hold.
        most: Duration,
    },
    /// The hold always has this length.
    Fixed(Duration),
    /// The provider's `Retry-After`, for the whole account.
    RetryAfter(Duration),
    /// No hold: the next read may start at once.
    None,
}

/// The series of consecutive failures whose holds double. Only a success ends a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureSeries {
    /// Connect, time-out, 5xx and other statuses.
    Outage,
    /// Refused credentials.
    Credentials,
    /// New tokens that the provider does not accept yet.
    NewToken,
    /// 429 without a readable `Retry-After`.
    Throttled,
}

impl UpstreamError {
    /// The metric label of an attempt with this failure; `None` if no attempt was made.
    #[must_use]
    pub fn kind(self) -> Option<ErrorKind> {
        match self {
            Self::Unreachable(_) => Some(ErrorKind::Connect),
            Self::Timeout => Some(ErrorKind::Timeout),
            Self::Throttled(_) | Self::Unavailable(_) => Some(ErrorKind::Throttled),
            Self::Status(_) => Some(ErrorKind::Status),
            Self::Refused => Some(ErrorKind::Refused),
            Self::Invalid(_) => Some(ErrorKind::Invalid),
            Self::TooLarge => Some(ErrorKind::TooLarge),
            Self::Busy | Self::Suspended | Self::BudgetExhausted | Self::OutOfFiles | Self::Defect => None,
        }
    }

    /// How long the failure is held.
    #[must_use]
    pub fn hold(self) -> Hold {
        const SECOND: Duration = Duration::from_secs(1);
        let doubling =
            |series, first, most| Hold::Doubling { series, first: SECOND * first, most: SECOND * most };
        match self {
            Self::Unreachable(_) | Self::Timeout | Self::Status(_) => doubling(FailureSeries::Outage, 1, 10),
            Self::Invalid(_) | Self::TooLarge => Hold::Fixed(SECOND * 5),
            Self::Refused => doubling(FailureSeries::Credentials, 30, 10 * 60),
            Self::Throttled(None) => doubling(FailureSeries::Throttled, 5, 60),
            Self::Throttled(Some(retry_after)) | Self::Unavailable(retry_after) => {
                Hold::RetryAfter(retry_after.clamp(SECOND, SECOND * 600))
            }
            Self::Busy | Self::Suspended | Self::BudgetExhausted | Self::OutOfFiles | Self::Defect => {
                Hold::None
            }
        }
    }

    /// Whether the same read may try once more.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Status(status) => matches!(status, 408 | 425 | 502 | 503 | 504),
            Self::Throttled(_)
            | Self::Unavailable(_)
            | Self::Refused
            | Self::Invalid(_)
            | Self::TooLarge
            | Self::Busy
            | Self::Suspended
            | Self::BudgetExhausted
            | Self::OutOfFiles
            | Self::Defect => false,
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_at_least_one_second() {
        for (wait, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (20_000, 20)] {
            assert_eq!(RetryAfter::from_wait(Duration::from_millis(wait)).as_secs(), seconds, "{wait} ms");
        }
    }

    #[test]
    fn a_providers_retry_after_is_bounded() {
        let held = |retry_after| UpstreamError::Throttled(Some(retry_after)).hold();

        assert_eq!(held(Duration::ZERO), Hold::RetryAfter(Duration::from_secs(1)));
        assert_eq!(held(Duration::from_hours(24)), Hold::RetryAfter(Duration::from_mins(10)));
    }

    #[test]
    fn only_transient_failures_are_retried() {
        for status in [408, 425, 502, 503, 504] {
            assert!(UpstreamError::Status(status).is_retryable());
        }
        for status in [301, 400, 404, 409, 500, 501] {
            assert!(!UpstreamError::Status(status).is_retryable());
        }
        assert!(!UpstreamError::Throttled(None).is_retryable());
    }
}
