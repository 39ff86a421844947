//! A caller's limits: `tower_governor` keeps the quota, one unit is one balance.
//!
//! Units are taken from `tower_governor`'s limiter and not by its layer: the layer takes one unit whatever is asked,
//! rounds its `Retry-After` down to seconds and hides the state that `RateLimit` must show.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;

use super::settings::LimitSettings;
use crate::domain::RetryAfter;

/// One limit of one caller.
pub(super) struct Limit {
    governor: GovernorConfig<ThisCaller, StateInformationMiddleware>,
    settings: LimitSettings,
    burst: NonZeroU32,
    /// The time of one unit.
    interval: Duration,
    /// What was left when units were last asked for, and when that was; for `RateLimit`.
    last: Mutex<(u32, Instant)>,
}

/// The limiter is the caller's own, so it needs no key.
#[derive(Clone, Debug)]
struct ThisCaller;

impl KeyExtractor for ThisCaller {
    type Key = ();

    fn extract<T>(&self, _: &http::Request<T>) -> Result<Self::Key, GovernorError> {
        Ok(())
    }
}

impl Limit {
    /// `None` for a limit without units, which the configuration does not let through.
    pub(super) fn new(settings: LimitSettings, now: Instant) -> Option<Self> {
        let interval = settings.per.checked_div(settings.requests)?.max(Duration::from_nanos(1));
        let mut builder = GovernorConfigBuilder::default();
        builder.period(interval).burst_size(settings.burst);
        let governor = builder.key_extractor(ThisCaller).use_headers().finish()?;
        let burst = NonZeroU32::new(settings.burst)?;
        Some(Self { governor, settings, burst, interval, last: Mutex::new((settings.burst, now)) })
    }

    /// What it was made from.
    pub(super) fn settings(&self) -> LimitSettings {
        self.settings
    }

    /// Takes units, at most the burst; refused, it says when that many will be there, with `further` more that
    /// the same request needed before.
    pub(super) fn take(&self, units: u32, further: u32, now: Instant) -> Result<(), RetryAfter> {
        let Some(units) = NonZeroU32::new(units.min(self.burst.get())) else { return Ok(()) };
        match self.governor.limiter().check_key_n(&(), units) {
            Ok(Ok(state)) => {
                self.note(state.remaining_burst_capacity(), now);
                Ok(())
            }
            Ok(Err(refused)) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                let missing = wait.as_nanos().div_ceil(self.interval.as_nanos());
                self.note(units.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX)), now);
                Err(RetryAfter::from_wait(wait.saturating_add(self.interval.saturating_mul(further))))
            }
            // No more than the burst is ever asked for.
            Err(_) => Err(RetryAfter::ONE_SECOND),
        }
    }

    fn note(&self, remaining: u32, now: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (remaining, now);
    }

    /// The units that are there now: what was left, and what has come since.
    fn remaining(&self, now: Instant) -> u32 {
        let (left, since) = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let come = now.saturating_duration_since(since).as_nanos() / self.interval.as_nanos();
        left.saturating_add(u32::try_from(come).unwrap_or(u32::MAX)).min(self.burst.get())
    }

    /// The units at once.
    pub(super) fn burst(&self) -> u32 {
        self.burst.get()
    }

    /// `"caller";q=100;w=10` of draft-ietf-httpapi-ratelimit-headers-11: the burst, and the seconds to refill it.
    pub(super) fn policy(&self, name: &str) -> String {
        let window = RetryAfter::from_wait(self.interval.saturating_mul(self.burst.get()));
        format!("\"{name}\";q={};w={window}", self.burst)
    }

    /// `"caller";r=99;t=1`: what is left, and the seconds in which the next unit is there at the latest.
    pub(super) fn state(&self, name: &str, now: Instant) -> String {
        let left = self.remaining(now);
        let next = if left >= self.burst.get() { 0 } else { RetryAfter::from_wait(self.interval).as_secs() };
        format!("\"{name}\";r={left};t={next}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::http::clock::now().monotonic
    }

    fn limit(requests: u32, seconds: u64, burst: u32) -> Limit {
        let settings = LimitSettings { requests, per: Duration::from_secs(seconds), burst };
        Limit::new(settings, start()).unwrap()
    }

    #[test]
    fn the_burst_is_there_at_once_and_then_a_wait_is_told() {
        let (limit, now) = (limit(1, 20, 3), start());

        assert_eq!(limit.take(1, 0, now), Ok(()));
        assert_eq!(limit.take(2, 0, now), Ok(()));
        assert_eq!(limit.take(1, 0, now).unwrap_err().as_secs(), 20);
        assert_eq!(limit.take(2, 0, now).unwrap_err().as_secs(), 40);
        assert_eq!(limit.take(2, 1, now).unwrap_err().as_secs(), 60);
    }

    #[test]
    fn a_batch_costs_at_most_the_burst() {
        assert_eq!(limit(1, 20, 3).take(100, 0, start()), Ok(()));
    }

    #[test]
    fn what_is_left_is_told_as_it_is_now() {
        let (limit, now) = (limit(1, 20, 3), start());
        let after = |seconds| limit.state("x", now + Duration::from_secs(seconds));
        limit.take(2, 0, now).unwrap();

        assert_eq!(after(0), r#""x";r=1;t=20"#);
        assert_eq!(after(20), r#""x";r=2;t=20"#);
        assert_eq!(after(40), r#""x";r=3;t=0"#);
        limit.take(3, 0, now).unwrap_err();
        assert_eq!(after(0), r#""x";r=1;t=20"#, "a refusal takes nothing");
    }

    #[test]
    fn the_fields_can_be_read_by_a_parser_of_structured_fields() {
        let (limit, now) = (limit(600, 60, 100), start());
        let (policy, full) = (limit.policy("caller"), limit.state("forced", now));
        limit.take(1, 0, now).unwrap();
        let taken = limit.state("caller", now);

        assert_eq!(policy, r#""caller";q=100;w=10"#);
        assert_eq!(full, r#""forced";r=100;t=0"#);
        assert_eq!(taken, r#""caller";r=99;t=1"#);
        for text in [policy, full, taken] {
            sfv::Parser::new(&text).parse::<sfv::List>().unwrap();
        }
    }
}
