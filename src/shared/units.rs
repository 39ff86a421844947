//! A caller's units: taken from the store ahead of need and behind the callers' backs, so that no request waits for
//! it; what is not needed goes back.

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

/// What the store says of a limit binds no longer.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Whether units are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are taken.
    Paid,
    /// They are not there.
    Refused,
    /// The store has said nothing that still holds: the local share decides.
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
    /// This replica's part of the units in the store: usable before it asks again.
    credit: AtomicU64,
    /// Used and not yet told to the store.
    owed: AtomicU64,
    /// Asked for since the store was asked last, refused ones too.
    asked: AtomicU64,
    /// Below it the store is asked at once.
    low: AtomicU64,
    /// When the store answered last, and when its bucket will be full.
    answered_at: AtomicU64,
    full_at: AtomicU64,
    /// Until when what the store said holds.
    known_until: AtomicU64,
    /// Whether a task keeps it: one of the constants below.
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
            asked: AtomicU64::new(0),
            low: AtomicU64::new(1),
            answered_at: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
            known_until: AtomicU64::new(0),
            keeper: AtomicU8::new(ASLEEP),
            is_low: Notify::new(),
        }
    }

    /// Whether they belong to this tier.
    pub(super) fn are_of(&self, tier: &Arc<Tier>) -> bool {
        Arc::ptr_eq(&self.tier, tier)
    }

    /// Whether this replica uses the store now.
    #[must_use]
    pub fn is_sharing(&self) -> bool {
        self.tier.is_sharing()
    }

    /// Takes units, of those held or on credit.
    pub fn take(&self, units: u32, now: Instant) -> Taken {
        let units = u64::from(units);
        self.asked.fetch_add(units, SeqCst);
        let held = take_from(&self.held, units);
        // Judged before the store is asked: its answer to that belongs to the next request.
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

    /// Puts units back that were taken and not used.
    pub fn put_back(&self, units: u32) {
        self.held.fetch_add(units.into(), SeqCst);
    }

    /// Notes units that the local share let through: they are told to the store when it is there.
    pub fn owe(&self, units: u32) {
        self.add_owed(units.into());
    }

    /// After what time so many units will be there, as far as this replica knows.
    #[must_use]
    pub fn time_until(&self, units: u32, now: Instant) -> Duration {
        let missing = (u64::from(units) + self.owed.load(SeqCst)).saturating_sub(self.held.load(SeqCst));
        if missing == 0 {
            return Duration::ZERO;
        }
        // A bucket that is not full lacks the time of one unit for each that is missing.
        let beyond =
            u32::try_from(u64::from(self.settings.burst).saturating_sub(missing)).unwrap_or(u32::MAX);
        self.full_in(now).saturating_sub(self.interval().saturating_mul(beyond))
    }

    /// How many units all replicas may use now, as far as this one knows; `None` when it knows nothing that holds.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<u32> {
        let left = (self.held.load(SeqCst) + self.in_store(now)).saturating_sub(self.owed.load(SeqCst));
        self.is_known(now).then(|| u32::try_from(left).unwrap_or(u32::MAX).min(self.settings.burst))
    }

    /// Notes units that the store gave, and in what time its bucket will be full.
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

    /// No more than this replica's part of a burst is ever owed: what was let through long ago counts no more.
    fn add_owed(&self, units: u64) {
        let part = self.part();
        let add = |owed: u64| Some((owed + units).min(part));
        // It never says no.
        let _ = self.owed.fetch_update(SeqCst, SeqCst, add);
    }

    /// This replica's part of a burst.
    fn part(&self) -> u64 {
        u64::from((self.settings.burst / self.tier.replicas()).max(1))
    }

    /// The units in the store's bucket, without any use since its last answer.
    fn in_store(&self, now: Instant) -> u64 {
        let missing = self.full_in(now).as_nanos().div_ceil(self.interval().as_nanos());
        u64::from(self.settings.burst).saturating_sub(u64::try_from(missing).unwrap_or(u64::MAX))
    }

    /// After what time the store's bucket will be full; who came before its answer is told what it says all the same.
    fn full_in(&self, now: Instant) -> Duration {
        let now = self.micros_at(now).max(self.answered_at.load(SeqCst));
        Duration::from_micros(self.full_at.load(SeqCst).saturating_sub(now))
    }

    /// The time of one unit.
    fn interval(&self) -> Duration {
        (self.settings.per / self.settings.requests.max(1)).max(Duration::from_nanos(1))
    }

    fn micros_at(&self, at: Instant) -> u64 {
        crate::domain::turn::micros(at.saturating_duration_since(self.start))
    }

    /// Makes the keeper ask the store soon; starts one if there is none.
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
