//! Balances that are read without a caller: at start, and then again and again.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::lookup::Source;
use super::{Account, BalanceSlot, Gateway};
use crate::cache::Question;
use crate::domain::{Demand, Priority};

/// The first reads are spread over this, so that a start is no burst at the providers.
const SPREAD: Duration = Duration::from_secs(10);

impl Gateway {
    /// Reads the balances that are watched, until `stop`.
    ///
    /// Each has its own place within the first seconds. The next read comes an interval after the last one ended, so
    /// they stay apart.
    pub async fn watch(&self, stop: &CancellationToken) {
        let balances: Vec<_> = self
            .accounts()
            .filter(|account| account.is_enabled())
            .filter_map(|account| Some((account, account.watch()?)))
            .flat_map(|(account, interval)| {
                account.balances().iter().map(move |slot| (account, slot, interval))
            })
            .collect();
        let count = balances.len();
        let watches = balances.into_iter().enumerate().map(|(place, (account, slot, interval))| async move {
            let pause = first_pause(place, count, interval, self.age(slot).await);
            tokio::time::sleep(pause).await;
            loop {
                self.refresh(account, slot).await;
                tokio::time::sleep(interval).await;
            }
        });
        stop.run_until_cancelled(join_all(watches)).await;
    }

    /// How long ago a balance was last read.
    async fn age(&self, slot: &BalanceSlot) -> Option<Duration> {
        let last = self.cache.stored(&slot.key).await?;
        Some(last.requested_at().age_at((self.clock)()))
    }

    /// Reads a balance for which nobody waits, unless a snapshot younger than `fresh_for` is there, or a failure is
    /// held.
    async fn refresh(&self, account: &Account, slot: &BalanceSlot) {
        let limits = account.limits();
        let question = Question { key: slot.key, demand: Demand::refresh((self.clock)(), limits), limits };
        let source = slot.source.clone();
        let read = move |order| source.read(order);
        // What it brings is stored, and how it failed is counted where it happened.
        let _ = self.cache.read(&question, Priority::Background, read).await;
    }
}

/// A random moment within one of so many equal parts of the first seconds. What was read before goes on in its rhythm,
/// so that a reload is no burst either.
fn first_pause(place: usize, count: usize, interval: Duration, age: Option<Duration>) -> Duration {
    let part = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let step = SPREAD.min(interval) / part(count).max(1);
    let spread = step * part(place) + step.mul_f64(fastrand::f64());
    age.map_or(spread, |age| spread.max(interval.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_reads_are_spread_evenly_over_ten_seconds_or_the_interval() {
        for (interval, spread) in [(300, 10), (10, 10), (2, 2)] {
            let pauses: Vec<_> =
                (0..100).map(|place| first_pause(place, 100, Duration::from_secs(interval), None)).collect();

            let step = Duration::from_secs(spread) / 100;
            for (place, pause) in (0..).zip(pauses) {
                assert!(step * place <= pause && pause <= step * (place + 1), "{place} {pause:?}");
            }
        }
    }

    #[test]
    fn what_was_read_before_goes_on_in_its_rhythm() {
        let seconds = Duration::from_secs;
        for (age, least, most) in [(0, 300, 300), (60, 240, 240), (299, 1, 10), (400, 0, 10)] {
            let pause = first_pause(0, 1, seconds(300), Some(seconds(age)));

            assert!(seconds(least) <= pause && pause <= seconds(most), "{age} {pause:?}");
        }
    }
}
