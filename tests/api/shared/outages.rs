//! A store that is killed, stopped, full, read-only or has lost its data: the replicas keep serving, and share again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Operation};
use futures_util::future::join_all;

use super::fleet::{Fleet, KIND};
use crate::harness::{KEY, eventually};

const PATH: &str = "/v1/accounts/ntxpay-br-demo/balance";

/// Sends requests to every replica in turn while something happens to the store. One request in eleven has a demand, so
/// that every replica gets demands. Each request must get a balance within three seconds. Returns their number.
async fn under_load(fleet: &Fleet, happening: impl Future<Output = ()>) -> usize {
    let asked = AtomicUsize::new(0);
    let asking = async {
        loop {
            for replica in &fleet.replicas {
                let begun = Instant::now();
                // Two phases of 46 demands each: a replica alone has room for 90 (three share 300 calls a minute).
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let is_demanding = number < 500 && number.is_multiple_of(11);
                let demand: &[_] = if is_demanding { &[("cache-control", "no-cache")] } else { &[] };
                let reply = replica.get_with(PATH, demand).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = happening => {}
    }
    asked.into_inner()
}

#[tokio::test]
async fn a_store_that_is_killed_and_comes_back_fails_no_request() {
    let fleet = Fleet::of(3).await;
    fleet.store.kill();

    assert!(under_load(&fleet, fleet.until_sharing(0.0)).await > 0);
    let back = async {
        fleet.store.restart().await;
        fleet.until_sharing(1.0).await;
    };
    assert!(under_load(&fleet, back).await > 0);

    let reads = fleet.reads();
    let slow = Fault::on_balance(FaultKind::Delay { ms: 300 }).times(3);
    fleet.replicas[0].provider(KIND).queue(slow);
    let path = format!("{PATH}?not_before=2100-01-01T00:00:00Z");
    let asked = fleet.replicas.iter().map(|replica| replica.get(&path));
    assert!(join_all(asked).await.iter().all(|reply| reply.status == 200));
    assert!(fleet.reads() <= reads + 2, "they share again: {} reads", fleet.reads() - reads);
}

#[tokio::test]
async fn a_stopped_store_fails_no_request() {
    let fleet = Fleet::of(2).await;
    fleet.store.signal("STOP");

    assert!(under_load(&fleet, fleet.until_sharing(0.0)).await > 0);
    let back = async {
        fleet.store.signal("CONT");
        fleet.until_sharing(1.0).await;
    };
    assert!(under_load(&fleet, back).await > 0);
}

#[tokio::test]
async fn a_full_or_read_only_store_is_still_read_and_fails_no_request() {
    for setting in [("maxmemory", "1"), ("min-replicas-to-write", "1")] {
        let fleet = Fleet::of(2).await;
        let first = fleet.replicas[0].balance(KIND).await;
        fleet.store.until_published(&[]).await;
        fleet.store.configure(setting.0, setting.1);

        let found = fleet.replicas[1].balance(KIND).await;
        assert_eq!((found.status, &found.body, fleet.reads()), (200, &first.body, 1), "{setting:?}");
        for replica in &fleet.replicas {
            assert_eq!(replica.new_balance(KIND).await.status, 200, "{setting:?}");
        }

        assert!(
            fleet.count("shared_errors_total{operation=\"lease\",kind=\"refused\"}").await > 0,
            "{setting:?}"
        );
        assert_eq!(fleet.replicas[0].calls(KIND, Operation::Balance).len(), 3, "{setting:?}");
    }
}

#[tokio::test]
async fn an_invalidation_outlives_a_store_that_loses_everything() {
    let fleet = Fleet::of(2).await;
    for replica in &fleet.replicas {
        assert_eq!(replica.balance(KIND).await.json()["available"], "48734.90");
    }
    fleet.replicas[0].provider(KIND).set_field("BRL", None, "netBalance", "100.00");
    fleet.store.kill();
    fleet.until_sharing(0.0).await;

    let path = "/v1/accounts/ntxpay-br-demo/invalidate";
    let marked = fleet.replicas[0].send("POST", path, Some(KEY), &[]).await;
    let not_before = marked.json()["not_before"].as_str().unwrap().to_owned();
    let other = fleet.replicas[1].get(&format!("{PATH}?not_before={not_before}")).await;
    assert_eq!(other.json()["available"], "100.00");
    fleet.replicas[0].provider(KIND).set_field("BRL", None, "netBalance", "200.00");
    fleet.replicas[0].send("POST", path, Some(KEY), &[]).await;
    fleet.store.restart().await;
    fleet.until_sharing(1.0).await;

    // The replica writes its invalidation again to the empty store, which passes it on to the other replica.
    fleet.replicas[1]
        .until(PATH, "the invalidation is written again", |reply| reply.json()["available"] == "200.00")
        .await;
}

#[tokio::test]
async fn a_lease_whose_grant_no_replica_received_delays_no_request() {
    let fleet = Fleet::of(2).await;
    fleet.store.signal("STOP");
    let alone = fleet.replicas[0].balance(KIND).await;
    fleet.store.signal("CONT");

    let begun = Instant::now();
    let other = fleet.replicas[1].balance(KIND).await;

    assert_eq!((alone.status, other.status), (200, 200));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}: a deadline is 4 s", begun.elapsed());
}

#[tokio::test]
async fn invalidations_are_written_again_to_a_store_that_was_emptied() {
    let fleet = Fleet::of(2).await;
    fleet.replicas[0].balance(KIND).await;
    let path = "/v1/accounts/ntxpay-br-demo/invalidate";
    assert_eq!(fleet.replicas[0].send("POST", path, Some(KEY), &[]).await.status, 200);
    assert!(fleet.store.has_mark());

    redis::cmd("FLUSHALL").exec(&mut fleet.store.connection()).unwrap();
    assert!(!fleet.store.has_mark());
    assert_eq!(fleet.replicas[0].balance(KIND).await.status, 200);

    eventually("the mark is stored again", || async { fleet.store.has_mark() }).await;
}
