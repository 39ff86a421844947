//! Watches: reads of balances without a caller, at start and then on an interval.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::lookup::BalanceSource;
use super::{Account, BalanceSlot, Gateway};
use crate::cache::Question;
use crate::domain::{Demand, Priority};

/// First reads are spread over this time, so that a start causes no burst at the providers.
const SPREAD: Duration = Duration::from_secs(10);

impl Gateway {
    /// Reads the watched balances, until `stop`.
    ///
    /// The first reads are spread over the first seconds. Each next read starts one interval after the previous one
    /// ended, so the reads stay apart.
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

    /// Time since the last read of a balance.
    async fn age(&self, slot: &BalanceSlot) -> Option<Duration> {
        let last = self.cache.stored(&slot.key).await?;
        Some(last.requested_at().age_at((self.clock)()))
    }

    /// Reads a balance without a caller, unless a fresh snapshot is cached or a failure is held.
    async fn refresh(&self, account: &Account, slot: &BalanceSlot) {
        let limits = account.limits();
        let question = Question { key: slot.key, demand: Demand::refresh((self.clock)(), limits), limits };
        let source = slot.source.clone();
        let read = move |request| source.read(request);
        // The read itself stores its snapshot and counts its failure.
        let _ = self.cache.read(&question, Priority::Background, read).await;
    }
}

/// The pause before the first read: a random moment within this balance's slice of the first seconds. A balance that
/// was read before keeps its schedule, so that a reload causes no burst either.
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
    fn a_balance_read_before_keeps_its_schedule() {
        let seconds = Duration::from_secs;
        for (age, least, most) in [(0, 300, 300), (60, 240, 240), (299, 1, 10), (400, 0, 10)] {
            let pause = first_pause(0, 1, seconds(300), Some(seconds(age)));

            assert!(seconds(least) <= pause && pause <= seconds(most), "{age} {pause:?}");
        }
    }
}
