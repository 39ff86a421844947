//! Replicas that use the store's interface directly: cases that need more balances, or other answers, than the cache
//! brings about.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::clock::{self, CLOCKS, REPLICAS, STORE};
use crate::alone::clock::SECOND;
use crate::store::{Server, Weather, settings};
use balance_gateway::domain::{
    AccountName, Amount, BalanceKey, Currency, MaxAge, ObservedAt, ProviderName, Reading, Selector, Snapshot,
};
use balance_gateway::metrics::Metrics;
use balance_gateway::shared::{Allowance, Shared, SharedAccount, SharedAccountSettings};

const PER: Duration = Duration::from_secs(20);
const ATTEMPT: Duration = Duration::from_secs(10);
const ALLOWANCE: Allowance = Allowance { requests: 4, share: 4, local_share: 1, per: PER, attempt: ATTEMPT };

fn name() -> AccountName {
    AccountName::parse("a").unwrap()
}

fn key() -> BalanceKey {
    BalanceKey::new(&name(), &[], &Selector::of(Currency::BRL))
}

/// Replicas of one account that share a store; each stands with its handle.
struct Replicas {
    handles: Vec<(Arc<Shared>, Arc<SharedAccount>)>,
    stop: CancellationToken,
}

impl Replicas {
    async fn join() -> Self {
        clock::begin([0; REPLICAS + 1]).await;
        let server = Server::new(clock::store, 1, vec![Weather { delay: 1, loss: 0 }; REPLICAS], Vec::new());
        let stop = CancellationToken::new();
        let mut handles = Vec::new();
        for (replica, now) in CLOCKS.into_iter().enumerate() {
            let metrics = Metrics::new("", "").unwrap().shared().unwrap();
            let shared = Shared::new(settings(Duration::from_millis(30)), now, metrics).unwrap();
            let in_store =
                SharedAccountSettings { balances: &[key()], answers_all_balances: false, per: PER };
            let account = shared.account(&name(), in_store);
            tokio::spawn(Arc::clone(&server).link(replica, Arc::clone(&shared), |_| {}, stop.clone()));
            handles.push((shared, account));
        }
        sleep(Duration::from_secs(1)).await;
        assert!(handles.iter().all(|(shared, _)| shared.is_sharing()));
        Self { handles, stop }
    }

    /// Takes calls at the same time, and returns how many the store permitted.
    async fn take(&self, replica: usize, calls: usize) -> usize {
        let account = &self.handles[replica].1;
        let taken = join_all((0..calls).map(|_| async {
            let mut wait = account.store_wait();
            account.take(ALLOWANCE, &mut wait).await.expect("the store answers").is_ok()
        }));
        taken.await.into_iter().filter(|is_taken| *is_taken).count()
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn simulate(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
}

/// The requests are under way together, so that none of them is sent after an answer that shows the step.
#[test]
fn calls_that_are_taken_together_after_a_step_keep_to_the_local_share() {
    simulate(async {
        let replicas = Replicas::join().await;
        assert_eq!(replicas.take(0, 1).await, 1);
        sleep(PER).await;
        assert_eq!(replicas.take(1, 1).await, 1);
        sleep(PER + ATTEMPT).await;
        assert_eq!(replicas.take(0, 4).await, 4);

        clock::step(STORE, 50 * SECOND);

        assert_eq!(replicas.take(1, 10).await, 1);
    });
}

#[test]
fn a_balance_that_was_read_alone_has_its_age_in_the_store() {
    simulate(async {
        let replicas = Replicas::join().await;
        replicas.take(0, 1).await;
        sleep(Duration::from_secs(30)).await;
        let age = Duration::from_secs(5);
        let reading = Reading {
            available: Amount::parse("1.00", Currency::BRL).unwrap(),
            blocked: None,
            reserved: None,
            processing: None,
            total: None,
            reported: Vec::new(),
            observed_at: ObservedAt::Undocumented,
        };
        let provider = ProviderName::parse("p").unwrap();
        let snapshot = Snapshot::new(&name(), &provider, None, CLOCKS[0]().earlier_by(age), reading);

        // By its own wall clock, the other replica could not see the age.
        clock::step(1, -20 * SECOND);
        replicas.handles[0].0.publish_alone(&key(), Arc::new(snapshot), MaxAge::CEILING);
        sleep(Duration::from_millis(100)).await;

        let found = replicas.handles[1].0.stored(&key(), 0, MaxAge::CEILING).await.unwrap();
        let shown = found.age_at(CLOCKS[1]());
        assert!((age..age + Duration::from_millis(200)).contains(&shown), "{shown:?}");
    });
}
