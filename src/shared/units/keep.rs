//! Keeps the units of active callers: one task per caller, from its first request until it is idle.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{sleep, timeout};

use super::demand::{SPAN, UnitDemand};
use super::{ASLEEP, KEPT, Units, WOKEN};
use crate::metrics::{SharedError, SharedOperation};
use crate::shared::error::{StoreError, Unavailable};
use crate::shared::script::Action;
use crate::shared::store::Answered;

/// The bounds of the pause before a store with too few units is called again.
const PAUSE: Duration = Duration::from_millis(50);
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

#[derive(Serialize)]
struct UnitsArguments {
    requests: u32,
    per: u64,
    burst: u32,
    back: u64,
    owed: u64,
    missing: u64,
}

impl Units {
    /// Whether units are used without a keeper; then the calling task becomes the keeper.
    pub(in crate::shared) fn wants_keeper(&self) -> bool {
        self.keeper.compare_exchange(WOKEN, KEPT, SeqCst, SeqCst).is_ok()
    }

    /// Returns all units of this replica.
    pub(in crate::shared) async fn give_back(&self) {
        // Units that cannot be returned expire in the store.
        let _ = self.exchange(0).await;
    }

    /// Holds as many units as will be needed soon, and returns all of them when the caller is idle.
    pub(in crate::shared) async fn keep(self: Arc<Self>) {
        let mut demand = UnitDemand::new(self.now());
        loop {
            let now = self.now();
            let requested = self.requested.swap(0, SeqCst);
            demand.note(requested, now);
            if demand.is_idle(now) {
                // Units that cannot be returned expire in the store.
                let _ = self.exchange(0).await;
                if self.has_ended() {
                    return;
                }
                continue;
            }
            // The store's answer is renewed before it expires, so that this replica's local share does not decide
            // about the caller's next request.
            let pause = if requested > 0 || !self.is_known(now + 2 * SPAN) {
                self.exchange(demand.forecast()).await.unwrap_or(SPAN)
            } else {
                Duration::ZERO
            };
            sleep(pause).await;
            // For one span, or until units are needed.
            let _ = timeout(SPAN, self.needed()).await;
        }
    }

    /// Lets the keeper end. Returns false if a request has arrived meanwhile, so that the keeper must go on.
    fn has_ended(&self) -> bool {
        self.owed.store(0, SeqCst);
        self.keeper.store(ASLEEP, SeqCst);
        // A request may have arrived while a wake-up had no effect.
        self.requested.load(SeqCst) == 0
            || self.keeper.compare_exchange(ASLEEP, KEPT, SeqCst, SeqCst).is_err()
    }

    /// Waits until more units are requested than will be available soon.
    async fn needed(&self) {
        loop {
            self.is_low.notified().await;
            if self.requested.load(SeqCst) > 0 && self.held.load(SeqCst) < self.low.load(SeqCst) {
                return;
            }
        }
    }

    /// Returns units beyond `wanted`, or takes the missing ones, and reports owed units. Returns the pause before the
    /// next call.
    async fn exchange(&self, wanted: u64) -> Result<Duration, Unavailable> {
        if !self.tier.is_sharing() {
            return Err(Unavailable);
        }
        let wanted = wanted.min(self.settings.burst.into());
        self.low.store((wanted / 2).max(1), SeqCst);
        let held = self.held.load(SeqCst);
        let excess = held.saturating_sub(wanted);
        let back = super::take_from(&self.held, excess).map_or(0, |_| excess);
        let (missing, owed) = (wanted.saturating_sub(held), self.owed.swap(0, SeqCst));
        match self.call_store(back, owed, missing).await {
            Ok(taken) => Ok(if taken < missing { self.pause() } else { Duration::ZERO }),
            Err(unavailable) => {
                self.add_owed(owed);
                Err(unavailable)
            }
        }
    }

    async fn call_store(&self, back: u64, owed: u64, missing: u64) -> Result<u64, Unavailable> {
        let store = &self.tier.store;
        let settings = &self.settings;
        let per = u64::try_from(settings.per.as_nanos()).unwrap_or(u64::MAX);
        let arguments =
            UnitsArguments { requests: settings.requests, per, burst: settings.burst, back, owed, missing };
        let answered = store.run(Action::Units, &[&self.key], &arguments, &mut store.wait()).await;
        if answered.as_ref().is_err_and(|error| *error == StoreError(SharedError::Invalid)) {
            self.tier.forget(vec![self.key.clone()]);
        }
        let Answered { answer, sent, received } = answered?;
        if answer.kind() != "units" {
            store.metrics.failed(SharedOperation::Limit, SharedError::Protocol);
            return Err(Unavailable);
        }
        if answer.text(0)? == "invalid" {
            store.metrics.failed(SharedOperation::Limit, SharedError::Invalid);
        }
        // A bound on any answer: at most the requested units, and at most the longest time that units may be owed.
        let taken = answer.number(1)?.min(missing);
        let span = self.interval().saturating_mul(settings.burst.saturating_mul(2));
        let full_in = Duration::from_micros(answer.number(2)?).min(span);
        self.note_answer(taken, full_in, sent.monotonic, received);
        Ok(taken)
    }

    /// The pause after an empty bucket: until it has one unit, and before it overflows.
    fn pause(&self) -> Duration {
        let span = self.interval().saturating_mul(self.settings.burst);
        let shortest = (span / 4).clamp(SHORTEST_PAUSE, PAUSE);
        let spread = shortest.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.time_until(1, self.now()).max(spread).min(SPAN)
    }

    fn now(&self) -> std::time::Instant {
        (self.tier.store.clock)().monotonic
    }
}
