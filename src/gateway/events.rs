//! Subscriptions to balances: a subscription receives every newer snapshot and every failure of a read.
//!
//! Each followed balance has one channel for all subscriptions. A subscription keeps only the newest event of each
//! balance, so the number of balances bounds its memory.

mod channel;
mod inbox;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use channel::Report;
pub use inbox::{Event, Inbox};

use super::account::{Account, BalanceSlot};
use super::{Gateway, Refusal};
use crate::domain::BalanceKey;
use channel::{Channel, Follower};

/// The channels of all followed balances; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Channels(Arc<Mutex<HashMap<BalanceKey, Weak<Channel>>>>);

/// Follows some balances until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    inbox: Arc<Inbox>,
    followed: Vec<Option<Follower>>,
}

impl Gateway {
    /// Follows balances from now on. While the subscription lives, each is kept at most `refresh` old, within its
    /// account's limits, by reads that rank as a refresh behind.
    #[must_use]
    pub fn subscribe<'a>(
        &self,
        balances: impl IntoIterator<Item = (&'a Account, &'a BalanceSlot)>,
        refresh: Duration,
    ) -> Subscription {
        let balances: Vec<_> = balances.into_iter().collect();
        let inbox = Arc::new(Inbox::of(balances.len()));
        let follow = |(place, (account, slot)): (usize, (&Account, &BalanceSlot))| {
            // A disabled account has no events.
            account.is_enabled().then(|| {
                let limits = account.limits();
                let refresh = refresh.clamp(limits.fresh_for.get(), limits.max_age.get());
                self.channel(account, slot).follow(&inbox, place, refresh)
            })
        };
        let followed = balances.into_iter().enumerate().map(follow).collect();
        Subscription { inbox, followed }
    }

    fn channel(&self, account: &Account, slot: &BalanceSlot) -> Arc<Channel> {
        let mut channels = self.channels.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&slot.key).and_then(Weak::upgrade) {
            return channel;
        }
        channels.retain(|_, channel| channel.strong_count() > 0);
        let channel = Channel::open(&self.cache, self.clock, account.limits(), slot);
        channels.insert(slot.key, Arc::downgrade(&channel));
        channel
    }
}

impl Subscription {
    /// Adds the looked-up state of a balance. Later events override it.
    pub fn add_current(&self, place: usize, current: Result<Arc<crate::domain::Snapshot>, Refusal>) {
        let Some(Some(follower)) = self.followed.get(place) else {
            if let Err(refusal) = current {
                self.inbox.add_problem(place, refusal);
            }
            return;
        };
        match current {
            Ok(snapshot) => self.inbox.add_current(place, &follower.report_of(snapshot)),
            Err(refusal) => self.inbox.add_problem(place, refusal),
        }
    }

    /// Records the snapshot that the subscriber already has: the same snapshot is no event.
    pub fn note_known(&self, place: usize, report: &Arc<Report>) {
        self.inbox.note_known(place, report);
    }

    /// The received events.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }
}
