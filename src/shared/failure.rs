//! The stored form of a failure, for the replicas that did not see it.

use std::time::Duration;

use crate::domain::{Cause, ParseError, UpstreamError};

/// The problem of an answer that another replica could not parse; its log has the details.
const UNREADABLE: ParseError = ParseError { field: "body", problem: "another replica could not parse it" };

/// The failure as text; a `Retry-After` of the provider in microseconds.
pub(super) fn to_text(error: UpstreamError) -> String {
    match error {
        UpstreamError::Unreachable(_) => "unreachable".to_owned(),
        UpstreamError::Timeout => "timeout".to_owned(),
        UpstreamError::Throttled(None) => "throttled".to_owned(),
        UpstreamError::Throttled(Some(wait)) => format!("throttled {}", wait.as_micros()),
        UpstreamError::Unavailable(wait) => format!("unavailable {}", wait.as_micros()),
        UpstreamError::Status(status) => format!("status {status}"),
        UpstreamError::Refused => "refused".to_owned(),
        UpstreamError::Invalid(_) => "invalid".to_owned(),
        UpstreamError::TooLarge => "too_large".to_owned(),
        UpstreamError::Busy => "busy".to_owned(),
        UpstreamError::Suspended => "suspended".to_owned(),
        UpstreamError::BudgetExhausted => "budget".to_owned(),
        UpstreamError::OutOfFiles => "out_of_files".to_owned(),
        UpstreamError::Defect => "defect".to_owned(),
    }
}

/// Parses the text of a failure; `None` for any other text.
pub(super) fn from_text(text: &str) -> Option<UpstreamError> {
    let (kind, detail) = text.split_once(' ').map_or((text, None), |(kind, detail)| (kind, Some(detail)));
    let wait = || detail.and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
    Some(match kind {
        "unreachable" => UpstreamError::Unreachable(Cause::Elsewhere),
        "timeout" => UpstreamError::Timeout,
        "throttled" => UpstreamError::Throttled(wait()),
        "unavailable" => UpstreamError::Unavailable(wait()?),
        "status" => UpstreamError::Status(detail?.parse().ok()?),
        "refused" => UpstreamError::Refused,
        "invalid" => UpstreamError::Invalid(UNREADABLE),
        "too_large" => UpstreamError::TooLarge,
        "busy" => UpstreamError::Busy,
        "suspended" => UpstreamError::Suspended,
        "budget" => UpstreamError::BudgetExhausted,
        "out_of_files" => UpstreamError::OutOfFiles,
        "defect" => UpstreamError::Defect,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_the_same_after_a_round_trip() {
        let wait = Duration::from_millis(1500);
        for error in [
            UpstreamError::Unreachable(Cause::Elsewhere),
            UpstreamError::Timeout,
            UpstreamError::Throttled(None),
            UpstreamError::Throttled(Some(wait)),
            UpstreamError::Unavailable(wait),
            UpstreamError::Status(500),
            UpstreamError::Refused,
            UpstreamError::Invalid(UNREADABLE),
            UpstreamError::TooLarge,
            UpstreamError::Busy,
            UpstreamError::Suspended,
            UpstreamError::BudgetExhausted,
            UpstreamError::OutOfFiles,
            UpstreamError::Defect,
        ] {
            assert_eq!(from_text(&to_text(error)), Some(error));
        }
    }

    #[test]
    fn any_other_text_is_no_failure() {
        for text in ["", "x", "status", "status x", "status 99999", "unavailable", "unavailable -1"] {
            assert_eq!(from_text(text), None, "{text:?}");
        }
    }
}
