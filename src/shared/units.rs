//! A caller's units. They are taken from the store ahead of need and in the background, so that no request waits for
//! the store. Unused units are returned.

mod demand;
mod keep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::tier::Tier;
use crate::domain::{CallerName, LimitSettings};
use crate::metrics::{Label, LimitPolicy};

/// How long the store's answer about a limit is valid.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The result of taking units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The units are taken.
    Paid,
    /// Too few units are left.
    Refused,
    /// The store has given no valid answer: this replica's local share decides.
    Unknown,
}

/// One limit of one caller, as this replica holds it. Moments are in microseconds since `start`.
pub struct Units {
    tier: Arc<Tier>,
    key: String,
    settings: LimitSettings,
    start: Instant,
    /// Taken from the store and not yet used.
    held: AtomicU64,
    /// This replica's share of the units that are left in the store. It may use them before it calls the store again.
    credit: AtomicU64,
    /// Used and not yet reported to the store.
    owed: AtomicU64,
    /// Units requested since the last call to the store, refused ones included.
    requested: AtomicU64,
    /// If fewer units are held, the store is called at once.
    low: AtomicU64,
    /// When the store last answered, and when its bucket will be full.
    answered_at: AtomicU64,
    full_at: AtomicU64,
    /// The end of the validity of the store's answer.
    known_until: AtomicU64,
    /// Whether a task keeps these units: one of the constants below.
    keeper: AtomicU8,
    is_low: Notify,
    /// Notified when units without a keeper are used.
    woken: Arc<Notify>,
}

const ASLEEP: u8 = 0;
const WOKEN: u8 = 1;
const KEPT: u8 = 2;

impl Units {
    pub(super) fn new(
        tier: &Arc<Tier>,
        woken: Arc<Notify>,
        (caller, policy): (&CallerName, LimitPolicy),
        settings: LimitSettings,
    ) -> Self {
        let LimitSettings { requests, per, burst } = settings;
        let (requests, per, burst) =
            (requests.to_be_bytes(), per.as_nanos().to_be_bytes(), burst.to_be_bytes());
        let parts = [caller.as_str().as_bytes(), policy.as_str().as_bytes(), &requests, &per, &burst];
        let tag = tier.keyring.name("units", &parts);
        Self {
            tier: Arc::clone(tier),
            woken,
            key: tier.key(&tag, "units"),
            settings,
            start: (tier.store.clock)().monotonic,
            held: AtomicU64::new(0),
            credit: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            requested: AtomicU64::new(0),
            low: AtomicU64::new(1),
            answered_at: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
            known_until: AtomicU64::new(0),
            keeper: AtomicU8::new(ASLEEP),
            is_low: Notify::new(),
        }
    }

    /// Whether the units belong to this tier.
    pub(super) fn are_of(&self, tier: &Arc<Tier>) -> bool {
        Arc::ptr_eq(&self.tier, tier)
    }

    /// Whether this replica uses the store now.
    #[must_use]
    pub fn is_sharing(&self) -> bool {
        self.tier.is_sharing()
    }

    /// Takes units that are held, or on credit.
    pub fn take(&self, units: u32, now: Instant) -> Taken {
        let units = u64::from(units);
        self.requested.fetch_add(units, SeqCst);
        let held = take_from(&self.held, units);
        // Judged before the store is called: its answer is for the next request.
        let taken = if held.is_some() { Taken::Paid } else { self.take_on_credit(units, now) };
        if held.is_none_or(|left| left < self.low.load(SeqCst)) {
            self.wake();
        }
        taken
    }

    fn take_on_credit(&self, units: u64, now: Instant) -> Taken {
        if !self.is_known(now) {
            return Taken::Unknown;
        }
        if take_from(&self.credit, units).is_none() {
            return Taken::Refused;
        }
        self.add_owed(units);
        Taken::Paid
    }

    /// Returns units that were taken and not used.
    pub fn put_back(&self, units: u32) {
        self.held.fetch_add(units.into(), SeqCst);
    }

    /// Records units that this replica's local share permitted. They are reported once the store is available.
    pub fn owe(&self, units: u32) {
        self.add_owed(units.into());
    }

    /// The time until this many units are available, as far as this replica knows.
    #[must_use]
    pub fn time_until(&self, units: u32, now: Instant) -> Duration {
        let missing = (u64::from(units) + self.owed.load(SeqCst)).saturating_sub(self.held.load(SeqCst));
        if missing == 0 {
            return Duration::ZERO;
        }
        // The bucket has the missing units once only the rest of the burst still has to refill.
        let beyond =
            u32::try_from(u64::from(self.settings.burst).saturating_sub(missing)).unwrap_or(u32::MAX);
        self.full_in(now).saturating_sub(self.interval().saturating_mul(beyond))
    }

    /// The units that all replicas may use now, as far as this one knows; `None` without a valid answer of the store.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<u32> {
        let left = (self.held.load(SeqCst) + self.in_store(now)).saturating_sub(self.owed.load(SeqCst));
        self.is_known(now).then(|| u32::try_from(left).unwrap_or(u32::MAX).min(self.settings.burst))
    }

    /// Records units that the store granted, and the time until its bucket is full.
    fn note_answer(&self, given: u64, full_in: Duration, sent: Instant, received: Instant) {
        self.answered_at.store(self.micros_at(received), SeqCst);
        self.full_at.store(self.micros_at(received + full_in), SeqCst);
        self.known_until.store(self.micros_at(sent + KNOWN_FOR), SeqCst);
        self.credit.store(self.in_store(received) / u64::from(self.tier.replicas()), SeqCst);
        self.held.fetch_add(given, SeqCst);
    }

    fn is_known(&self, now: Instant) -> bool {
        self.tier.is_sharing() && self.micros_at(now) < self.known_until.load(SeqCst)
    }

    /// A replica never owes more than its local share of a burst: units used long ago no longer count.
    fn add_owed(&self, units: u64) {
        let local_share = self.local_share();
        let add = |owed: u64| Some((owed + units).min(local_share));
        // It always succeeds.
        let _ = self.owed.fetch_update(SeqCst, SeqCst, add);
    }

    /// This replica's local share of a burst.
    fn local_share(&self) -> u64 {
        u64::from((self.settings.burst / self.tier.replicas()).max(1))
    }

    /// The units in the store's bucket, if no replica has used any since the store's last answer.
    fn in_store(&self, now: Instant) -> u64 {
        let missing = self.full_in(now).as_nanos().div_ceil(self.interval().as_nanos());
        u64::from(self.settings.burst).saturating_sub(u64::try_from(missing).unwrap_or(u64::MAX))
    }

    /// The time until the store's bucket is full. A `now` before the store's answer counts as the moment of that
    /// answer.
    fn full_in(&self, now: Instant) -> Duration {
        let now = self.micros_at(now).max(self.answered_at.load(SeqCst));
        Duration::from_micros(self.full_at.load(SeqCst).saturating_sub(now))
    }

    /// The time in which one unit refills.
    fn interval(&self) -> Duration {
        (self.settings.per / self.settings.requests.max(1)).max(Duration::from_nanos(1))
    }

    fn micros_at(&self, at: Instant) -> u64 {
        crate::domain::turn::micros(at.saturating_duration_since(self.start))
    }

    /// Wakes the keeper, so that it calls the store soon; starts one if none runs.
    fn wake(&self) {
        if self.keeper.load(SeqCst) == ASLEEP
            && self.keeper.compare_exchange(ASLEEP, WOKEN, SeqCst, SeqCst).is_ok()
        {
            self.woken.notify_one();
        }
        self.is_low.notify_one();
    }
}

/// Takes units out of a counter if all are available. Returns the rest.
fn take_from(counter: &AtomicU64, units: u64) -> Option<u64> {
    let before = counter.fetch_update(SeqCst, SeqCst, |there| there.checked_sub(units)).ok()?;
    Some(before - units)
}

impl std::fmt::Debug for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Units").field("key", &self.key).finish_non_exhaustive()
    }
}
