//! Rates: budgets, callers' limits and breakers, and the share of one replica.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::reader::{Read, Section, Setting, Value};
use crate::domain::LimitSettings;
use crate::upstream::{BreakerSettings, BudgetSettings};

/// The default `burst` is the number of requests that the rate allows in this span.
const BURST_SPAN: Duration = Duration::from_secs(10);

/// The longest time in which a burst may refill. In nanoseconds it is far below the overflow of `governor`, also for
/// the share of a replica.
const LONGEST_REFILL: Duration = Duration::from_hours(365 * 24);

/// The number of replicas, and whether each must keep to its share.
#[derive(Clone, Copy)]
pub(in crate::config) struct Replicas {
    pub(in crate::config) count: NonZeroU32,
    /// A shared store counts the total: shares apply only while it is unavailable.
    pub(in crate::config) has_store: bool,
}

/// A rate that is divided among replicas.
pub(in crate::config) trait DividedRate: Setting {
    /// The share of one of this many replicas.
    fn divided(self, replicas: NonZeroU32) -> Self;

    /// Whether the share of a replica would be less than one.
    fn is_below(&self, replicas: NonZeroU32) -> bool;
}

impl Section<'_> {
    /// Divides the rate of this key: the share is used and shown.
    pub(in crate::config) fn share<T: DividedRate>(
        &mut self,
        key: &'static str,
        whole: T,
        replicas: Replicas,
    ) -> T {
        let Replicas { count, has_store } = replicas;
        if whole.is_below(count) {
            let when = if has_store { "while the store is unavailable, " } else { "" };
            self.warn(
                key,
                &format!("below server.replicas: {when}each replica gets at least 1, so all together allow more than configured"),
            );
        }
        let share = if has_store { whole } else { whole.divided(count) };
        self.show(key, &share);
        share
    }
}

fn divide(whole: u32, replicas: NonZeroU32) -> u32 {
    (whole / replicas).max(1)
}

/// Reads `requests` and `per`.
fn rate(section: &mut Section<'_>) -> Read<(u32, Duration)> {
    let requests: Read<NonZeroU32> = section.required("requests");
    let per: Read<Duration> = section.required("per");
    let (requests, per) = (requests?.get(), per?);
    if per.as_nanos() < u128::from(requests) {
        return Err(section.expected("requests", "at most one per nanosecond"));
    }
    Ok((requests, per))
}

impl Setting for BudgetSettings {
    const EXPECTED: &'static str = "{ requests = 300, per = \"1m\" }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let rate = rate(&mut section);
        section.close();
        rate.map(|(requests, per)| Self { requests, per })
    }

    fn show(&self) -> String {
        format!("{{ requests = {}, per = {} }}", self.requests, self.per.show())
    }
}

impl DividedRate for BudgetSettings {
    fn divided(self, replicas: NonZeroU32) -> Self {
        Self { requests: divide(self.requests, replicas), ..self }
    }

    fn is_below(&self, replicas: NonZeroU32) -> bool {
        self.requests < replicas.get()
    }
}

impl Setting for LimitSettings {
    const EXPECTED: &'static str = "{ requests = 600, per = \"1m\", burst = 100 }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let rate = rate(&mut section);
        let burst: Read<Option<NonZeroU32>> = section.optional("burst");
        section.close();
        let ((requests, per), burst) = (rate?, burst?);
        let burst = burst.map_or_else(|| default_burst(requests, per), NonZeroU32::get);
        if (per / requests).checked_mul(burst).is_none_or(|refill| refill > LONGEST_REFILL) {
            return Err(value.wrong("expected a burst that refills within a year"));
        }
        Ok(Self { requests, per, burst })
    }

    fn show(&self) -> String {
        let Self { requests, per, burst } = self;
        format!("{{ requests = {requests}, per = {}, burst = {burst} }}", per.show())
    }
}

/// The default burst: what ten seconds allow, rounded down, at least one.
fn default_burst(requests: u32, per: Duration) -> u32 {
    let allowed = u128::from(requests) * BURST_SPAN.as_millis() / per.as_millis().max(1);
    u32::try_from(allowed).unwrap_or(u32::MAX).max(1)
}

impl DividedRate for LimitSettings {
    fn divided(self, replicas: NonZeroU32) -> Self {
        self.local_share(replicas.get())
    }

    fn is_below(&self, replicas: NonZeroU32) -> bool {
        self.requests.min(self.burst) < replicas.get()
    }
}

impl Setting for BreakerSettings {
    const EXPECTED: &'static str = "{ failures = 5, cooldown = \"10s\" }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let failures: Read<NonZeroU32> = section.required("failures");
        let cooldown = section.required("cooldown");
        section.close();
        Ok(Self { failures: failures?.get(), cooldown: cooldown? })
    }

    fn show(&self) -> String {
        format!("{{ failures = {}, cooldown = {} }}", self.failures, self.cooldown.show())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_burst_is_what_ten_seconds_allow() {
        for (requests, per, burst) in [(600, 60, 100), (60, 60, 10), (5, 60, 1), (17, 60, 2), (100, 1, 1000)]
        {
            assert_eq!(default_burst(requests, Duration::from_secs(per)), burst);
        }
        assert_eq!(default_burst(u32::MAX, Duration::from_secs(1)), u32::MAX);
    }

    #[test]
    fn the_share_of_a_replica_is_at_least_one() {
        let limit = LimitSettings { requests: 600, per: Duration::from_mins(1), burst: 100 };
        for (replicas, requests, burst) in [(1, 600, 100), (7, 85, 14), (500, 1, 1), (1000, 1, 1)] {
            let share = limit.divided(NonZeroU32::new(replicas).unwrap());

            assert_eq!((share.requests, share.burst), (requests, burst), "{replicas}");
        }
    }
}
