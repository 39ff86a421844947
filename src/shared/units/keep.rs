//! Keeps the units of active callers: one task for each, from its first request until it has been idle for a while.

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

/// A store that had too little is asked again after this time at most, or at least, however small the burst is.
const PAUSE: Duration = Duration::from_millis(50);
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

#[derive(Serialize)]
struct UnitsAsk {
    requests: u32,
    per: u64,
    burst: u32,
    back: u64,
    owed: u64,
    missing: u64,
}

impl Units {
    /// Whether they are used and have no keeper; the caller becomes it.
    pub(in crate::shared) fn wants_keeper(&self) -> bool {
        self.keeper.compare_exchange(WOKEN, KEPT, SeqCst, SeqCst).is_ok()
    }

    /// Gives all units back that this replica holds.
    pub(in crate::shared) async fn give_back(&self) {
        // Units that cannot be given back come back by themselves.
        let _ = self.exchange(0).await;
    }

    /// Holds as many units as will be needed soon, and gives all back when the caller is idle.
    pub(in crate::shared) async fn keep(self: Arc<Self>) {
        let mut demand = UnitDemand::new(self.now());
        loop {
            let now = self.now();
            let asked = self.asked.swap(0, SeqCst);
            demand.note(asked, now);
            if demand.is_over(now) {
                // What cannot be given back comes back by itself.
                let _ = self.exchange(0).await;
                if self.has_slept_in() {
                    return;
                }
                continue;
            }
            // A caller that comes back after a pause gets the store's answer, not the local share.
            let pause = if asked > 0 || !self.is_known(now + 2 * SPAN) {
                self.exchange(demand.forecast()).await.unwrap_or(SPAN)
            } else {
                Duration::ZERO
            };
            sleep(pause).await;
            // Whichever comes first.
            let _ = timeout(SPAN, self.needed()).await;
        }
    }

    /// Whether the caller was idle to the end.
    fn has_slept_in(&self) -> bool {
        self.owed.store(0, SeqCst);
        self.keeper.store(ASLEEP, SeqCst);
        // A request may have come before that, when a wake-up had no effect.
        self.asked.load(SeqCst) == 0 || self.keeper.compare_exchange(ASLEEP, KEPT, SeqCst, SeqCst).is_err()
    }

    /// Waits until units are asked for that will soon be missing.
    async fn needed(&self) {
        loop {
            self.is_low.notified().await;
            if self.asked.load(SeqCst) > 0 && self.held.load(SeqCst) < self.low.load(SeqCst) {
                return;
            }
        }
    }

    /// Gives back units beyond `wanted`, or takes the missing ones, and reports units that are owed. Says after what time
    /// it is worth asking again.
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
        match self.ask(back, owed, missing).await {
            Ok(taken) => Ok(if taken < missing { self.pause() } else { Duration::ZERO }),
            Err(unavailable) => {
                self.add_owed(owed);
                Err(unavailable)
            }
        }
    }

    async fn ask(&self, back: u64, owed: u64, missing: u64) -> Result<u64, Unavailable> {
        let store = &self.tier.store;
        let settings = &self.settings;
        let per = u64::try_from(settings.per.as_nanos()).unwrap_or(u64::MAX);
        let ask = UnitsAsk { requests: settings.requests, per, burst: settings.burst, back, owed, missing };
        let answered = store.run(Action::Units, &[&self.key], &ask, &mut store.wait()).await;
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
        // Whatever it says: no more than was asked for, and no longer than what may be owed.
        let taken = answer.number(1)?.min(missing);
        let span = self.interval().saturating_mul(settings.burst.saturating_mul(2));
        let full_in = Duration::from_micros(answer.number(2)?).min(span);
        self.note_answer(taken, full_in, sent.monotonic, received);
        Ok(taken)
    }

    /// How long a bucket that was empty is left alone: until it has one unit, and not so long that it overflows.
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
