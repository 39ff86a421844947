//! One rate limit of a caller on `tower_governor`. One unit pays for one balance.
//!
//! Units are taken from `tower_governor`'s limiter and not by its layer. The layer takes one unit for any request,
//! rounds its `Retry-After` down to seconds, and hides the state that `RateLimit` must show.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;

use crate::domain::LimitSettings;

/// One rate limit of one caller.
pub(super) struct Bucket {
    governor: GovernorConfig<ThisCaller, StateInformationMiddleware>,
    burst: NonZeroU32,
    /// The time in which one unit is replenished.
    interval: Duration,
    /// The units left after the last request for units, and the time of that request; for `RateLimit`.
    last: Mutex<(u32, Instant)>,
    /// Units that were given back and not taken again.
    returned: AtomicU32,
}

/// The limiter's key. It is empty, because each caller has its own limiter.
#[derive(Clone, Debug)]
struct ThisCaller;

impl KeyExtractor for ThisCaller {
    type Key = ();

    fn extract<T>(&self, _: &http::Request<T>) -> Result<Self::Key, GovernorError> {
        Ok(())
    }
}

impl Bucket {
    /// `None` for a limit without units, which the configuration rejects.
    pub(super) fn new(settings: LimitSettings, now: Instant) -> Option<Self> {
        let interval = settings.per.checked_div(settings.requests)?.max(Duration::from_nanos(1));
        let mut builder = GovernorConfigBuilder::default();
        builder.period(interval).burst_size(settings.burst);
        let governor = builder.key_extractor(ThisCaller).use_headers().finish()?;
        let burst = NonZeroU32::new(settings.burst)?;
        Some(Self {
            governor,
            burst,
            interval,
            last: Mutex::new((settings.burst, now)),
            returned: AtomicU32::new(0),
        })
    }

    /// Takes units, all or none, and at most the burst. The error is the time until all of them are available.
    pub(super) fn take(&self, cost: u32, now: Instant) -> Result<(), Duration> {
        let cost = cost.min(self.burst.get());
        let returned = self.take_returned(cost, now);
        let Some(units) = NonZeroU32::new(cost - returned) else { return Ok(()) };
        let wait = match self.governor.limiter().check_key_n(&(), units) {
            Ok(Ok(state)) => {
                self.note(state.remaining_burst_capacity(), now);
                return Ok(());
            }
            Ok(Err(refused)) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                let missing = wait.as_nanos().div_ceil(self.interval.as_nanos());
                self.note(units.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX)), now);
                wait
            }
            // Cannot happen: no more than the burst is ever requested.
            Err(_) => self.interval,
        };
        self.returned.fetch_add(returned, Ordering::AcqRel);
        Err(wait)
    }

    /// Gives unused units back. `governor` cannot take them, so they are kept beside it.
    pub(super) fn put_back(&self, units: u32) {
        let most = self.burst.get();
        let add = |returned: u32| Some(returned.saturating_add(units).min(most));
        // The closure always returns a value, so the update cannot fail.
        let _ = self.returned.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// Takes at most this many returned units. Units that would overfill the bucket expire.
    fn take_returned(&self, most: u32, now: Instant) -> u32 {
        if self.returned.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let room = self.burst.get() - self.left(now);
        let mut taken = 0;
        let take = |returned: u32| {
            let usable = returned.min(room);
            taken = usable.min(most);
            Some(usable - taken)
        };
        // The closure always returns a value, so the update cannot fail.
        let _ = self.returned.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken
    }

    fn note(&self, remaining: u32, now: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (remaining, now);
    }

    /// The available units.
    pub(super) fn remaining(&self, now: Instant) -> u32 {
        let returned = self.returned.load(Ordering::Acquire);
        self.left(now).saturating_add(returned).min(self.burst.get())
    }

    /// The units that `governor` has now: those left after the last request, and those replenished since.
    fn left(&self, now: Instant) -> u32 {
        let (left, since) = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let come = nanos(now.saturating_duration_since(since)) / nanos(self.interval);
        left.saturating_add(u32::try_from(come).unwrap_or(u32::MAX)).min(self.burst.get())
    }

    /// The most units at once.
    pub(super) fn burst(&self) -> u32 {
        self.burst.get()
    }

    /// The time in which one unit is replenished.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }
}

/// The length in nanoseconds, for at most five centuries. 64 bits, because a division of 128 bits is slow and each hit
/// has two.
fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
