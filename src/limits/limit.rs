//! A caller's limits. Where replicas share, units that were taken ahead from the store stand before the caller's whole
//! quota; while the store says nothing, this replica's share of it does.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use itoa::Buffer;

use super::bucket::Bucket;
use super::settings::LimitSettings;
use crate::domain::{CallerName, RetryAfter};
use crate::metrics::LimitPolicy;
use crate::shared::{Shared, Taken, UnitSettings, Units};

/// One limit of one caller.
pub struct Limit {
    settings: LimitSettings,
    whole: Arc<Bucket>,
    shared: Option<SharedLimit>,
}

/// What stands before the whole where replicas share.
struct SharedLimit {
    units: Arc<Units>,
    /// What this replica may use while the store says nothing. Whatever else is used counts here, too, so that an
    /// outage does not begin with another burst.
    alone: Bucket,
}

impl Limit {
    /// `None` for a limit without units, which the configuration does not let through. `before` is the limit until
    /// now: what did not change keeps its state.
    pub(super) fn new(
        (caller, policy): (&CallerName, LimitPolicy),
        settings: LimitSettings,
        (before, shared): (Option<&Arc<Self>>, Option<&Arc<Shared>>),
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
                units: shared.units(
                    caller,
                    policy,
                    UnitSettings { requests: settings.requests, per: settings.per, burst: settings.burst },
                ),
                alone: Bucket::new(settings.share(shared.replicas()), now)?,
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

    /// Takes units, all or none, and at most the burst. Refused, it says when all of them are there.
    ///
    /// # Errors
    /// When all of the units will be available, if they are not.
    pub fn take(&self, cost: u32, now: Instant) -> Result<(), RetryAfter> {
        let taken = match &self.shared {
            Some(shared) => self.take_shared(shared, cost, now),
            None => self.whole.take(cost, now),
        };
        taken.map_err(RetryAfter::from_wait)
    }

    /// The units at once.
    pub fn burst(&self) -> u32 {
        self.whole.burst()
    }

    /// Gives units back that were taken for nothing.
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
                // It counts there as far as there is something left.
                let _ = alone.take(cost, now);
                Ok(())
            }
            Taken::Refused => Err(units.time_until(wanted, now)),
            Taken::Unknown => {
                // Where it can be asked, it will have answered by the next second.
                let is_asked = units.is_sharing();
                alone.take(cost, now).map_err(|wait| if is_asked { Duration::ZERO } else { wait })?;
                let part = cost.min(alone.burst());
                self.whole.take(part, now).inspect_err(|_| alone.put_back(part))?;
                units.owe(part);
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

    /// Writes `"caller";r=99;t=1`: what is left, and the seconds in which the next unit is there at the latest.
    pub fn write_state(&self, name: &str, now: Instant, text: &mut BytesMut) {
        let (whole, left) = (&*self.whole, self.whole.remaining(now));
        let (left, burst, wait) = match &self.shared {
            None => (left, whole.burst(), whole.interval()),
            Some(SharedLimit { units, alone }) => match units.remaining(now) {
                Some(of_all) => {
                    let left = left.min(of_all);
                    // The replicas together may have used more than there was.
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
