//! Subscribes to balances: the use case of an event stream.

use std::time::Duration;

use super::account::{Account, BalanceSlot};
use super::events::Subscription;
use super::state::Gateway;

impl Gateway {
    /// Follows balances from now on. While the subscription lives, each is kept at most `refresh` old, within its
    /// account's limits, by reads with the priority of a background refresh.
    #[must_use]
    pub fn subscribe<'a>(
        &self,
        balances: impl IntoIterator<Item = (&'a Account, &'a BalanceSlot)>,
        refresh: Duration,
    ) -> Subscription {
        let channel = |(account, slot): (&Account, &BalanceSlot)| {
            let limits = account.limits();
            let refresh = refresh.clamp(limits.fresh_for.get(), limits.max_age.get());
            let is_enabled = account.is_enabled();
            is_enabled.then(|| (self.channels.open(&self.cache, self.clock, limits, slot), refresh))
        };
        Subscription::new(balances.into_iter().map(channel).collect())
    }
}
