//! One limit of one caller. If replicas share, a request first needs units that this replica took from the store in
//! advance, then units of the caller's whole limit. While the store does not answer, this replica's local share
//! applies.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use itoa::Buffer;

use super::bucket::Bucket;
use crate::domain::LimitSettings;
use crate::domain::{CallerName, RetryAfter};
use crate::metrics::LimitPolicy;
use crate::shared::{Shared, Taken, Units};

/// One limit of one caller.
pub struct Limit {
    settings: LimitSettings,
    whole: Arc<Bucket>,
    shared: Option<SharedLimit>,
}

/// The shared part of a limit, checked before the whole limit.
struct SharedLimit {
    units: Arc<Units>,
    /// This replica's local share, used while the store does not answer. Units from the store count here, too, so that
    /// an outage does not begin with another burst.
    alone: Bucket,
}

impl Limit {
    /// `None` for a limit without units, which the configuration rejects. `before` is the previous limit: unchanged parts
    /// keep their state.
    pub(super) fn new(
        caller: &CallerName,
        policy: LimitPolicy,
        settings: LimitSettings,
        before: Option<&Arc<Self>>,
        shared: Option<&Arc<Shared>>,
        now: Instant,
    ) -> Option<Arc<Self>> {
        let before = before.filter(|before| before.settings == settings);
        if let Some(before) = before.filter(|before| before.is_shared_by(shared)) {
            return Some(Arc::clone(before));
        }
        let whole = match before {
            Some(before) => Arc::clone(&before.whole),
            None => Arc::new(Bucket::new(settings, now)?),
        };
        let shared = match shared {
            Some(shared) => Some(SharedLimit {
                units: shared.units(caller, policy, settings),
                alone: Bucket::new(settings.local_share(shared.replicas()), now)?,
            }),
            None => None,
        };
        Some(Arc::new(Self { settings, whole, shared }))
    }

    fn is_shared_by(&self, shared: Option<&Arc<Shared>>) -> bool {
        match (&self.shared, shared) {
            (Some(limit), Some(shared)) => shared.has_units(&limit.units),
            (limit, shared) => limit.is_none() && shared.is_none(),
        }
    }

    /// Takes units, all or none, and at most the burst.
    ///
    /// # Errors
    /// The time until all of the units are available.
    pub fn take(&self, cost: u32, now: Instant) -> Result<(), RetryAfter> {
        let taken = match &self.shared {
            Some(shared) => self.take_shared(shared, cost, now),
            None => self.whole.take(cost, now),
        };
        taken.map_err(RetryAfter::from_wait)
    }

    /// The most units at once.
    pub fn burst(&self) -> u32 {
        self.whole.burst()
    }

    /// Gives unused units back.
    pub fn put_back(&self, cost: u32) {
        self.whole.put_back(cost.min(self.whole.burst()));
        if let Some(SharedLimit { units, alone }) = &self.shared {
            units.put_back(cost.min(self.whole.burst()));
            alone.put_back(cost.min(alone.burst()));
        }
    }

    fn take_shared(&self, shared: &SharedLimit, cost: u32, now: Instant) -> Result<(), Duration> {
        let SharedLimit { units, alone } = shared;
        let wanted = cost.min(self.whole.burst());
        match units.take(wanted, now) {
            Taken::Paid => {
                self.whole.take(cost, now).inspect_err(|_| units.put_back(wanted))?;
                // The units count in this replica's local share, too, as far as units are left in it.
                let _ = alone.take(cost, now);
                Ok(())
            }
            Taken::Refused => Err(units.time_until(wanted, now)),
            Taken::Unknown => {
                // A reachable store answers within a second, so the caller may retry then.
                let is_sharing = units.is_sharing();
                alone.take(cost, now).map_err(|wait| if is_sharing { Duration::ZERO } else { wait })?;
                let charged = cost.min(alone.burst());
                self.whole.take(charged, now).inspect_err(|_| alone.put_back(charged))?;
                units.owe(charged);
                Ok(())
            }
        }
    }

    /// `"caller";q=100;w=10` of draft-ietf-httpapi-ratelimit-headers-11: the burst, and the seconds to refill it.
    pub fn policy(&self, name: &str) -> String {
        let burst = self.whole.burst();
        let window = RetryAfter::from_wait(self.whole.interval().saturating_mul(burst));
        format!("\"{name}\";q={burst};w={window}")
    }

    /// Writes `"caller";r=99;t=1`: the units left, and the seconds until the next unit.
    pub fn write_state(&self, name: &str, now: Instant, text: &mut BytesMut) {
        let (whole, left) = (&*self.whole, self.whole.remaining(now));
        let (left, burst, wait) = match &self.shared {
            None => (left, whole.burst(), whole.interval()),
            Some(SharedLimit { units, alone }) => match units.remaining(now) {
                Some(of_all) => {
                    let left = left.min(of_all);
                    // Together, the replicas may have used more units than there were.
                    let wait = units.time_until(left.saturating_add(1), now).max(whole.interval());
                    (left, whole.burst(), wait)
                }
                None => (left.min(alone.remaining(now)), alone.burst(), alone.interval()),
            },
        };
        let next = if left >= burst { 0 } else { RetryAfter::from_wait(wait).as_secs() };
        for part in ["\"", name, "\";r=", Buffer::new().format(left), ";t=", Buffer::new().format(next)] {
            text.extend_from_slice(part.as_bytes());
        }
    }
}
