//! The channels of the balances that are followed now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::channel::Channel;
use crate::cache::BalanceCache;
use crate::domain::{BalanceKey, Clock, Limits};
use crate::gateway::account::BalanceSlot;

/// The channels of the balances that are followed now; clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::gateway) struct Channels(Arc<Mutex<HashMap<BalanceKey, Weak<Channel>>>>);

impl Channels {
    /// Whether a subscription follows this balance.
    pub(in crate::gateway) fn has(&self, slot: &BalanceSlot) -> bool {
        self.lock().get(&slot.key).is_some_and(|channel| channel.strong_count() > 0)
    }

    /// The channel of a balance: the one that is open, or a new one.
    pub(in crate::gateway) fn open(
        &self,
        cache: &BalanceCache,
        clock: Clock,
        limits: Limits,
        slot: &BalanceSlot,
    ) -> Arc<Channel> {
        let mut channels = self.lock();
        if let Some(channel) = channels.get(&slot.key).and_then(Weak::upgrade) {
            return channel;
        }
        channels.retain(|_, channel| channel.strong_count() > 0);
        let channel = Channel::open(cache, clock, limits, slot);
        channels.insert(slot.key, Arc::downgrade(&channel));
        channel
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BalanceKey, Weak<Channel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
