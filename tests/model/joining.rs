//! How long a replica with many balances takes to join, in simulated time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use balance_gateway::domain::{AccountName, BalanceKey, Currency, Moment, Selector};
use balance_gateway::metrics::Metrics;
use balance_gateway::shared::{Shared, SharedAccountSettings};
use jiff::Timestamp;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::store::{Server, Told, Weather, settings};

const BALANCES: usize = 5_000;
const MILLISECOND: Duration = Duration::from_millis(1);

fn now() -> Moment {
    Moment { monotonic: Instant::now().into_std(), wall: Timestamp::now() }
}

/// How long the replica took to join, and how many balances count as invalidated then.
struct Joined {
    took: Duration,
    marked: usize,
}

/// Joins with many balances over a network with up to a millisecond of delay and this loss in percent.
fn join(lost_in_hundred: u32) -> Joined {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let metrics = Metrics::new("", "").unwrap().shared().unwrap();
        let shared = Shared::new(settings(Duration::from_millis(30)), now, metrics).unwrap();
        let marked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&marked);
        shared.on_mark(Box::new(move |_, _, _| {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        let _accounts: Vec<_> = (0..BALANCES)
            .map(|number| {
                let name = AccountName::parse(&format!("a{number}")).unwrap();
                let key = BalanceKey::new(&name, &[], &Selector::of(Currency::BRL));
                let settings = SharedAccountSettings {
                    balances: &[key],
                    answers_all_balances: false,
                    per: Duration::from_mins(1),
                };
                shared.account(&name, settings)
            })
            .collect();
        let weather = Weather { delay: 1, loss: lost_in_hundred };
        let clock = || u64::try_from(Timestamp::now().as_microsecond()).unwrap();
        let server = Server::new(clock, 1, vec![weather], Vec::new());
        let (stop, begun) = (CancellationToken::new(), Instant::now());
        let link = server.link(0, Arc::clone(&shared), |_: Told| {}, stop.clone());
        tokio::spawn(link);
        while !shared.is_sharing() {
            assert!(begun.elapsed() < Duration::from_mins(1), "the replica does not join");
            sleep(MILLISECOND).await;
        }
        stop.cancel();
        Joined { took: begun.elapsed(), marked: marked.load(Ordering::Relaxed) }
    })
}

#[test]
fn a_replica_with_five_thousand_balances_joins_within_a_second() {
    let Joined { took, marked } = join(0);

    println!("it joined after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(marked, 0);
}

#[test]
fn a_replica_that_loses_one_message_in_a_hundred_joins_within_five_seconds() {
    let Joined { took, .. } = join(1);

    println!("it joined after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// The store may know an invalidation of such a balance.
#[test]
fn a_balance_whose_look_up_is_lost_counts_as_invalidated() {
    let Joined { took, marked } = join(15);

    println!("it joined after {took:?}");
    assert!((1..BALANCES / 100).contains(&marked), "{marked}");
}
