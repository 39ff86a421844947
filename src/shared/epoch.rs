//! The epoch of an account's log of calls: a new one begins when the store has lost calls, or when its clock was set.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::account::SharedAccount;
use super::clock::Expected;
use super::error::StoreError;
use super::script::Action;
use super::store::StoreWait;
use super::tier::random_name;
use crate::domain::turn::micros;

/// The arguments with which scripts judge the store's clock and begin an epoch.
#[derive(Serialize)]
pub(super) struct ClockArguments {
    new_epoch: String,
    doubted_since: u64,
    epoch_before: String,
    expected_from: u64,
    expected_to: u64,
    elapsed: u64,
    life: u64,
}

#[derive(Serialize)]
struct RestoreArguments {
    #[serde(flatten)]
    clock: ClockArguments,
    calls: Vec<String>,
    left: Vec<u64>,
}

impl SharedAccount {
    /// The arguments with which scripts judge the store's clock and begin an epoch.
    pub(super) fn clock_arguments(&self) -> ClockArguments {
        let known = self.known();
        let Expected { from, to, elapsed } = known.clock.expected(self.now(), self.store().timeout);
        let doubt = known.doubt.as_ref();
        ClockArguments {
            new_epoch: random_name(),
            doubted_since: doubt.map_or(0, |doubt| doubt.since.as_micros()),
            epoch_before: doubt.map_or(&known.epoch, |doubt| &doubt.epoch).clone(),
            expected_from: from,
            expected_to: to,
            elapsed,
            life: self.life,
        }
    }

    /// Records the epoch. A new one means that the store lost data: this replica's invalidations are written again.
    pub(super) fn note_epoch(self: &Arc<Self>, epoch: &str) {
        let before = std::mem::replace(&mut self.known().epoch, epoch.to_owned());
        if !before.is_empty() && before != epoch {
            self.mark_all_again();
        }
    }

    /// Writes this replica's calls that still count to a store that may have lost them. If this fails, they are written
    /// before the next call is taken.
    pub(super) async fn restore_calls(self: &Arc<Self>) {
        if self.known().own.iter().any(|(_, until)| *until > self.now()) {
            let _ = self.catch_up(&mut self.store().wait()).await;
        }
    }

    /// Writes this replica's calls that still count to a store that may have lost them; does nothing if the store has
    /// them. It runs before each call is taken.
    pub(super) async fn catch_up(self: &Arc<Self>, wait: &mut StoreWait) -> Result<(), StoreError> {
        let (generation, now) = (self.store().generation(), self.now());
        let (synced, doubt);
        let (calls, left): (Vec<String>, Vec<u64>) = {
            let mut known = self.known();
            synced = (generation, known.pending);
            if known.synced == synced {
                return Ok(());
            }
            doubt = known.doubt.clone();
            known.own.retain(|(_, until)| *until > now);
            let left = |until: &Instant| micros(until.saturating_duration_since(now));
            known.own.iter().map(|(call, until)| (call.clone(), left(until))).unzip()
        };
        let arguments = RestoreArguments { clock: self.clock_arguments(), calls, left };
        let answered = self.store().run(Action::Restore, &self.keys(), &arguments, wait).await;
        let answered = self.checked(answered, None)?;
        self.note_epoch(answered.answer.text(0)?);
        let mut known = self.known();
        known.synced = synced;
        known.doubt.take_if(|known| Some(&*known) == doubt.as_ref());
        Ok(())
    }
}
