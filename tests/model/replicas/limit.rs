//! One replica's use of a caller's limit: the shipped code for shared units, and the model's bucket for the local
//! share.
//!
//! `tower_governor` reads the real clock, so the model cannot drive it. This bucket replaces it in simulated time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::clock::REPLICAS;
use super::schedule::Limit;
use crate::alone::clock;
use balance_gateway::domain::{CallerName, Clock, LimitSettings};
use balance_gateway::metrics::LimitPolicy;
use balance_gateway::shared::{Shared, Taken, Units};

/// One replica's use of the limit.
pub(crate) struct Spender {
    units: Arc<Units>,
    local: Bucket,
    clock: Clock,
}

/// A bucket that knows when it will be full.
struct Bucket {
    burst: u32,
    interval: Duration,
    full_at: Mutex<Instant>,
}

impl Bucket {
    fn take(&self, units: u32, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full_at).max(now) + self.interval * units;
        let has_room = after <= now + self.interval * self.burst;
        if has_room {
            *full_at = after;
        }
        has_room
    }
}

impl Spender {
    pub(crate) fn new(shared: &Arc<Shared>, limit: Limit, clock: Clock) -> Self {
        let Limit { requests, per, burst } = limit;
        let settings = LimitSettings { requests, per: clock::duration(per), burst };
        let units = shared.units(&CallerName::parse("c").unwrap(), LimitPolicy::Caller, settings);
        let share = |whole: u32| (whole / u32::try_from(REPLICAS).unwrap()).max(1);
        let local = Bucket {
            burst: share(burst),
            interval: settings.per / share(requests),
            full_at: Mutex::new(clock().monotonic),
        };
        Self { units, local, clock }
    }

    /// Takes units. Returns the units that the caller got, and whether the local share decided.
    pub(crate) fn take(&self, cost: u32) -> (Option<u32>, bool) {
        let now = (self.clock)().monotonic;
        match self.units.take(cost, now) {
            Taken::Paid => {
                self.local.take(cost.min(self.local.burst), now);
                (Some(cost), false)
            }
            Taken::Refused => (None, false),
            Taken::Unknown => {
                let part = cost.min(self.local.burst);
                let has_room = self.local.take(part, now);
                if has_room {
                    self.units.owe(part);
                }
                (has_room.then_some(part), true)
            }
        }
    }
}
