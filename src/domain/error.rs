//! Why there is no balance. Classified once, where it happens; the kind is also the metric label.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use super::moment::rounded_up;

/// An adapter could not understand a body: where and why, never the body itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ParseError {
    /// The path of the field, or `body`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Why a body is no balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It cannot be read as what the provider documents.
    Invalid(ParseError),
    /// It reports a failure of its own under this HTTP status.
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
    /// The shortest hint.
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
    /// No connection, or it broke.
    Connect,
    /// 429, or 503 with `Retry-After`.
    Throttled,
    /// No answer in time.
    Timeout,
    /// A status that says nothing more.
    Status,
    /// 401 or 403, or the token endpoint's 400.
    Refused,
    /// Complete, but unreadable.
    Invalid,
    /// A body over the cap.
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

/// Why a read brought no balance. Cloneable, since everybody who waited gets the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// DNS, connect, TLS, reset, or an answer cut short.
    #[error("the provider could not be reached")]
    Unreachable,
    /// No answer within the attempt's and the read's time.
    #[error("the provider did not answer in time")]
    Timeout,
    /// 429; the wait that the provider asked for, if it was readable.
    #[error("the provider asked us to slow down")]
    Throttled(Option<Duration>),
    /// 503 with a readable `Retry-After`.
    #[error("the provider asked for time")]
    Unavailable(Duration),
    /// A status that is no success and has no meaning of its own; a success status when the body says that it failed.
    #[error("{}", told_status(*.0))]
    Status(u16),
    /// Our credentials were rejected.
    #[error("the provider refused the credentials")]
    Refused,
    /// The answer cannot be understood.
    #[error("the provider's answer is invalid: {0}")]
    Invalid(ParseError),
    /// The answer is over the cap.
    #[error("the provider's answer is too large")]
    TooLarge,
    /// The provider's concurrency was full until our deadline; nobody was asked.
    #[error("too many reads of this provider at once")]
    Busy,
    /// The breaker is open; nobody was asked.
    #[error("the provider is suspended after repeated failures")]
    Suspended,
    /// Our outgoing budget is spent; nobody was asked.
    #[error("the outgoing budget of the account is spent")]
    BudgetExhausted,
    /// A defect of ours.
    #[error("the read ended in a defect")]
    Defect,
}

fn told_status(status: u16) -> String {
    let but = if (200..300).contains(&status) { ", but its body reports no success" } else { "" };
    format!("the provider answered with status {status}{but}")
}

/// How the hold after a failure is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Doubles with each failure in a row, from `first` to `most`.
    Doubling {
        /// Which row it belongs to.
        row: HoldRow,
        /// After the first failure.
        first: Duration,
        /// The longest.
        most: Duration,
    },
    /// Always this long.
    Fixed(Duration),
    /// As long as the provider said, for the whole account.
    AsTold(Duration),
    /// Not held: asked again at once.
    None,
}

/// The rows of failures that double their holds; only a success ends one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRow {
    /// Connect, time-out, 5xx and other statuses.
    Outage,
    /// Refused credentials.
    Credentials,
    /// 429 without a readable `Retry-After`.
    Throttled,
}

impl UpstreamError {
    /// The metric label of an attempt that ended so; `None` where no attempt was made.
    #[must_use]
    pub fn kind(self) -> Option<ErrorKind> {
        match self {
            Self::Unreachable => Some(ErrorKind::Connect),
            Self::Timeout => Some(ErrorKind::Timeout),
            Self::Throttled(_) | Self::Unavailable(_) => Some(ErrorKind::Throttled),
            Self::Status(_) => Some(ErrorKind::Status),
            Self::Refused => Some(ErrorKind::Refused),
            Self::Invalid(_) => Some(ErrorKind::Invalid),
            Self::TooLarge => Some(ErrorKind::TooLarge),
            Self::Busy | Self::Suspended | Self::BudgetExhausted | Self::Defect => None,
        }
    }

    /// How long the failure is remembered (contract, section 5).
    #[must_use]
    pub fn hold(self) -> Hold {
        const SECOND: Duration = Duration::from_secs(1);
        let doubling = |row, first, most| Hold::Doubling { row, first: SECOND * first, most: SECOND * most };
        match self {
            Self::Unreachable | Self::Timeout | Self::Status(_) => doubling(HoldRow::Outage, 1, 10),
            Self::Invalid(_) | Self::TooLarge => Hold::Fixed(SECOND * 5),
            Self::Refused => doubling(HoldRow::Credentials, 30, 10 * 60),
            Self::Throttled(None) => doubling(HoldRow::Throttled, 5, 60),
            Self::Throttled(Some(told)) | Self::Unavailable(told) => {
                Hold::AsTold(told.clamp(SECOND, SECOND * 600))
            }
            Self::Busy | Self::Suspended | Self::BudgetExhausted | Self::Defect => Hold::None,
        }
    }

    /// Whether one more attempt inside the same read makes sense (contract, section 5).
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout => true,
            Self::Status(status) => matches!(status, 408 | 425 | 502 | 503 | 504),
            Self::Throttled(_)
            | Self::Unavailable(_)
            | Self::Refused
            | Self::Invalid(_)
            | Self::TooLarge
            | Self::Busy
            | Self::Suspended
            | Self::BudgetExhausted
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
    fn what_the_provider_told_is_bounded() {
        let held = |told| UpstreamError::Throttled(Some(told)).hold();

        assert_eq!(held(Duration::ZERO), Hold::AsTold(Duration::from_secs(1)));
        assert_eq!(held(Duration::from_hours(24)), Hold::AsTold(Duration::from_mins(10)));
    }

    #[test]
    fn only_failures_that_may_pass_are_retried() {
        for status in [408, 425, 502, 503, 504] {
            assert!(UpstreamError::Status(status).is_retryable());
        }
        for status in [301, 400, 404, 409, 500, 501] {
            assert!(!UpstreamError::Status(status).is_retryable());
        }
        assert!(!UpstreamError::Throttled(None).is_retryable());
    }
}
