//! Holds: after a failure, the time until the provider is called again, for one balance or one account.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{FailureSeries, Hold, UpstreamError};

/// The hold of one scope, and the counts of failures in a row that double it.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Holds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<(UpstreamError, Instant)>,
    failed_at: Option<Instant>,
    outages: u32,
    refusals: u32,
    new_tokens: u32,
    throttles: u32,
}

impl Holds {
    /// The failure that is held now, and the end of its hold.
    pub(in crate::upstream) fn held(&self, now: Instant) -> Option<(UpstreamError, Instant)> {
        self.lock().held.filter(|(_, until)| now < *until)
    }

    /// Begins a hold by the failure's rule and returns its end; `None` if the failure is not held. A longer running hold
    /// stays. A call that was sent before the last failure was known belongs to that failure and does not double the hold.
    pub(in crate::upstream) fn begin(
        &self,
        error: UpstreamError,
        hold: Hold,
        sent_at: Instant,
        now: Instant,
    ) -> Option<Instant> {
        let mut state = self.lock();
        let is_next = state.failed_at.is_none_or(|failed_at| failed_at <= sent_at);
        let length = match hold {
            Hold::None => return None,
            Hold::Fixed(length) | Hold::RetryAfter(length) => length,
            Hold::Doubling { series, first, most } => {
                let in_a_row = state.series(series);
                if is_next || *in_a_row == 0 {
                    *in_a_row = in_a_row.saturating_add(1);
                }
                doubled(first, *in_a_row - 1).min(most)
            }
        };
        state.failed_at = Some(now);
        let longer = state.held.filter(|(_, until)| *until > now + length);
        let (error, until) = longer.unwrap_or((error, now + length));
        state.held = Some((error, until));
        Some(until)
    }

    /// Ends the hold of refused credentials and resets its doubling, because a secret changed.
    pub(in crate::upstream) fn end_refusals(&self) {
        let mut state = self.lock();
        (state.refusals, state.new_tokens) = (0, 0);
        state.held.take_if(|(error, _)| *error == UpstreamError::Refused);
    }

    /// Ends the hold and resets all doubling, if this successful request was sent after the last failure.
    pub(in crate::upstream) fn end(&self, sent_at: Instant) {
        let mut state = self.lock();
        if state.failed_at.is_none_or(|failed_at| failed_at <= sent_at) {
            *state = State::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn series(&mut self, series: FailureSeries) -> &mut u32 {
        match series {
            FailureSeries::Outage => &mut self.outages,
            FailureSeries::Credentials => &mut self.refusals,
            FailureSeries::NewToken => &mut self.new_tokens,
            FailureSeries::Throttled => &mut self.throttles,
        }
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::domain::{Cause, ParseError};

    #[test]
    fn each_kind_is_held_as_long_as_the_contract_says() {
        let told = Some(Duration::from_secs(20));
        let invalid = ParseError { field: "body", problem: "not a JSON object" };
        for (error, seconds) in [
            (UpstreamError::Unreachable(Cause::Closed), vec![1, 2, 4, 8, 10, 10]),
            (UpstreamError::Timeout, vec![1, 2]),
            (UpstreamError::Status(500), vec![1, 2]),
            (UpstreamError::Invalid(invalid), vec![5, 5]),
            (UpstreamError::TooLarge, vec![5, 5]),
            (UpstreamError::Refused, vec![30, 60, 120, 240, 480, 600, 600]),
            (UpstreamError::Throttled(None), vec![5, 10, 20, 40, 60, 60]),
            (UpstreamError::Throttled(told), vec![20, 20]),
        ] {
            let (holds, now) = (Holds::default(), clock::now().monotonic);

            let lengths: Vec<_> = seconds
                .iter()
                .map(|_| (holds.begin(error, error.hold(), now, now).unwrap() - now).as_secs())
                .collect();

            assert_eq!(lengths, seconds, "{error:?}");
        }
    }

    #[test]
    fn a_success_ends_the_hold_and_resets_the_doubling() {
        let (holds, now) = (Holds::default(), clock::now().monotonic);
        let fail = || holds.begin(UpstreamError::Timeout, UpstreamError::Timeout.hold(), now, now).unwrap();
        fail();
        fail();

        holds.end(now);

        assert!(holds.held(now).is_none());
        assert_eq!(fail() - now, Duration::from_secs(1));
        assert!(holds.held(now + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn calls_sent_together_count_as_one_failure() {
        let (holds, start) = (Holds::default(), clock::now().monotonic);
        let refused = |sent: u64, ended: u64| {
            let [sent_at, now] = [sent, ended].map(|seconds| start + Duration::from_secs(seconds));
            (holds.begin(UpstreamError::Refused, UpstreamError::Refused.hold(), sent_at, now).unwrap()
                - start)
                .as_secs()
        };

        assert_eq!([refused(0, 1), refused(0, 1), refused(0, 3)], [31, 31, 33]);
        assert_eq!([refused(33, 34), refused(33, 35)], [94, 95]);
    }

    #[test]
    fn a_read_without_a_call_is_not_held() {
        let (holds, now) = (Holds::default(), clock::now().monotonic);

        assert_eq!(holds.begin(UpstreamError::Busy, UpstreamError::Busy.hold(), now, now), None);
    }
}
