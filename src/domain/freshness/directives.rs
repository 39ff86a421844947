//! The freshness directives of a request, and the demand that they become for one balance.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::age::{AgeLimit, Since};
use super::demand::{Demand, Judge, Priority};
use super::limits::Limits;
use crate::domain::moment::Moment;

/// Added to a caller's `not_before`, because it may come from another replica's clock.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

/// The freshness directives of a request: its `Cache-Control` and `?not_before=`, before they are applied to a balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// The oldest acceptable age on arrival; zero demands a read after it.
    pub max_age: Option<Duration>,
    /// At least this much of `fresh_for` left on arrival.
    pub min_fresh: Option<Duration>,
    /// Read after this instant of another wall clock.
    pub not_before: Option<Timestamp>,
    /// Never call the provider.
    pub only_if_cached: bool,
    /// When the read fails, the last snapshot up to this age is acceptable.
    pub stale_if_error: Option<Duration>,
    /// Whether the demand for a new read comes from the endpoint (see [`Directives::or_new`]) and not from the request.
    pub is_certain: bool,
}

impl Directives {
    /// The same directives; if the request has no freshness demand, they demand a read after its arrival.
    #[must_use]
    pub fn or_new(self) -> Self {
        let says_something = self.max_age.is_some()
            || self.min_fresh.is_some()
            || self.not_before.is_some()
            || self.only_if_cached;
        if says_something { self } else { Self { max_age: Some(Duration::ZERO), is_certain: true, ..self } }
    }

    /// The demand for a balance with these limits.
    #[must_use]
    pub fn demand(&self, arrived: Moment, limits: Limits) -> Demand {
        let ceiling = limits.max_age.get();
        let by_age = [self.max_age, self.min_fresh.map(|left| limits.fresh_for.get().saturating_sub(left))];
        let allowed = by_age.into_iter().flatten().min().filter(|allowed| *allowed < ceiling);
        let since = self.not_before.map(|instant| {
            let instant = instant.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
            let oldest = Duration::try_from(arrived.wall.duration_since(instant)).unwrap_or_default();
            Since { instant, oldest }
        });
        Demand {
            arrived,
            age: AgeLimit { oldest: allowed.unwrap_or(ceiling), since },
            mark: None,
            judge: Judge::Process,
            priority: if since.is_some() || self.is_certain {
                Priority::Certain
            } else if allowed.is_some() || self.only_if_cached {
                Priority::Demanded
            } else {
                Priority::Plain
            },
            only_if_cached: self.only_if_cached,
            fallback: self.stale_if_error.filter(|_| since.is_none()).map(|age| age.min(ceiling)),
        }
    }
}

impl Demand {
    /// The demand without directives: only the ceiling.
    #[must_use]
    pub fn none(arrived: Moment, limits: Limits) -> Self {
        Directives::default().demand(arrived, limits)
    }
}
