//! One replica reads a balance, the others serve it.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind};
use futures_util::future::{join, join_all};

use super::fleet::{Fleet, KIND, sharing};
use super::redis::RedisServer;
use crate::harness::{KEY as CALLER, Setup, eventually};

const PATH: &str = "/v1/accounts/ntxpay-br-demo/balance";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_read_by_one_replica_is_found_by_the_others() {
    let fleet = Fleet::of(3).await;

    let first = fleet.replicas[0].balance(KIND).await;
    fleet.store.until_published(&[]).await;
    let others = [fleet.replicas[1].balance(KIND).await, fleet.replicas[2].balance(KIND).await];

    assert_eq!((first.status, fleet.reads()), (200, 1));
    for other in others {
        assert_eq!((&other.body, other.header("etag")), (&first.body, first.header("etag")));
        assert_eq!(
            other.header("cache-status"),
            "balance-gateway; fwd=uri-miss; fwd-status=200; stored; collapsed"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_never_held_a_snapshot_falls_back_to_the_stores() {
    let fleet = Fleet::of(3).await;
    let first = fleet.replicas[0].balance(KIND).await;
    fleet.store.until_published(&[]).await;
    let failing = FaultKind::Status { status: 500, retry_after: None, body: None };
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(failing).times(1000));

    let demand = [("cache-control", "no-cache, stale-if-error")];
    let fallen_back = fleet.replicas[1].get_with(PATH, &demand).await;
    let plain = fleet.replicas[1].balance(KIND).await;
    let batch = fleet.replicas[2].get_with("/v1/balances?account=ntxpay-br-demo", &demand).await;
    let demanding = fleet.replicas[1].get_with(PATH, &[("cache-control", "no-cache")]).await;

    assert_eq!((fallen_back.status, &fallen_back.body), (200, &first.body));
    assert!(fallen_back.header("cache-status").ends_with("; detail=stale-if-error"), "{fallen_back:?}");
    assert_eq!(fallen_back.header("cache-control"), "private, max-age=0, must-revalidate");
    assert_eq!((plain.status, &plain.body), (200, &first.body), "a hold hides no snapshot");
    assert_eq!(batch.json()["complete"], true, "{batch:?}");
    demanding.assert_problem(502, "provider_error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demands_across_replicas_within_one_slow_read_share_the_next() {
    // The slow read lasts until every demand has arrived, however busy the machine is.
    let setup = Setup {
        server: "request_timeout = \"90s\"\ndrain_timeout = \"90s\"\n".to_owned(),
        provider: "attempt_timeout = \"40s\"\ndeadline = \"40s\"\n".to_owned(),
        ..Setup::default()
    };
    let fleet = Fleet::with(5, &setup).await;
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(FaultKind::Delay { ms: 30_000 }));
    let slow = {
        let request = fleet.replicas[0].request("GET", PATH, Some(CALLER));
        tokio::spawn(async move { request.send().await.unwrap().status() })
    };
    fleet.replicas[0].provider(KIND).wait_for_calls(2).await;

    let asked = (0..500).map(|number| {
        let replica = &fleet.replicas[number % 5];
        async move {
            let arrived = jiff::Timestamp::now();
            (arrived, replica.new_balance(KIND).await)
        }
    });
    let have_arrived = async {
        for (number, replica) in fleet.replicas.iter().enumerate() {
            let requests = if number == 0 { 101 } else { 100 };
            eventually("the demands are in flight", || async {
                replica.count("http_requests_in_flight").await == requests
            })
            .await;
        }
        fleet.replicas[0].provider(KIND).end_delays();
    };
    let (answers, ()) = join(join_all(asked), have_arrived).await;

    assert_eq!(slow.await.unwrap(), 200);
    for (arrived, reply) in &answers {
        let fetched_at: jiff::Timestamp = reply.json()["fetched_at"].as_str().unwrap().parse().unwrap();
        let earlier = arrived.duration_since(fetched_at);
        assert!(earlier.as_millis() <= 1, "{reply:?} is {earlier:?} before its request");
    }
    assert_eq!(fleet.reads(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_at_one_replica_applies_at_all() {
    let fleet = Fleet::of(3).await;
    for replica in &fleet.replicas {
        assert_eq!(replica.balance(KIND).await.json()["available"], "48734.90");
    }
    fleet.replicas[0].provider(KIND).set_field("BRL", None, "netBalance", "100.00");

    let marked =
        fleet.replicas[1].send("POST", "/v1/accounts/ntxpay-br-demo/invalidate", Some(CALLER), &[]).await;
    let told = Instant::now();
    assert_eq!(marked.status, 200);
    for replica in &fleet.replicas {
        replica.until(PATH, "the invalidation arrives", |reply| reply.json()["available"] == "100.00").await;
    }

    assert!(told.elapsed() < Duration::from_millis(500), "{:?}", told.elapsed());
    assert_eq!(fleet.reads(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_passes_not_before_on_never_misses_an_invalidation() {
    let fleet = Fleet::of(2).await;
    let [one, other] = &fleet.replicas[..] else { panic!("two replicas") };
    for round in 1..=20 {
        one.balance(KIND).await;
        other.balance(KIND).await;
        let paid = format!("{round}.00");
        one.provider(KIND).set_field("BRL", None, "netBalance", &paid);

        let invalidated = one.send("POST", "/v1/accounts/ntxpay-br-demo/invalidate", Some(CALLER), &[]).await;
        let not_before = invalidated.json()["not_before"].as_str().unwrap().to_owned();
        let reply = other.get(&format!("{PATH}?not_before={not_before}")).await;

        assert_eq!(reply.json()["available"], paid, "round {round}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demand_with_prefer_wait_0_still_begins_its_read() {
    let fleet = Fleet::of(2).await;
    let demand = [("cache-control", "no-cache"), ("prefer", "wait=0")];

    let reply = fleet.replicas[0].get_with(PATH, &demand).await;

    assert_eq!(reply.status, 504, "{reply:?}");
    eventually("the read is made", || async { fleet.reads() == 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_joins_later_takes_the_stored_snapshot() {
    let store = RedisServer::start().await;
    let setup = sharing(&Setup::default(), &store.url(), 2);
    let mut fleet = Fleet::on(store, 1, &setup).await;
    let first = fleet.replicas[0].balance(KIND).await;
    fleet.store.until_published(&[]).await;

    let later = fleet.replicas[0].beside(&setup);
    fleet.replicas.push(later);
    fleet.until_sharing(1.0).await;
    let found = fleet.replicas[1].balance(KIND).await;

    assert_eq!((found.status, &found.body), (200, &first.body));
    assert_eq!(fleet.reads(), 1, "a roll-out costs no call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_carries_an_age_replaces_no_younger_snapshot() {
    let fleet = Fleet::of(3).await;
    let young = fleet.replicas[0].balance(KIND).await;
    fleet.store.until_published(&[]).await;
    let age = FaultKind::Headers { headers: vec![("age".to_owned(), "30".to_owned())] };
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(age));

    // The answer is too old for the demand that caused it, but is published.
    fleet.replicas[1].new_balance(KIND).await;
    eventually("its read has ended", || async { !fleet.store.has_lease() }).await;
    let found = fleet.replicas[2].balance(KIND).await;

    assert_eq!((fleet.reads(), &found.body), (2, &young.body));
    assert!(found.header("age").parse::<u64>().unwrap() < 20, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_with_the_shipped_timeout_answer_every_request() {
    let store = RedisServer::start().await;
    let setup = sharing(&Setup::default(), &store.url(), 3);
    let shipped = setup.further.replace("timeout = \"500ms\"", "timeout = \"30ms\"");
    assert_ne!(shipped, setup.further);
    let fleet = Fleet::on(store, 3, &Setup { further: shipped, ..setup }).await;

    for round in 0..20 {
        let asked = fleet.replicas.iter().map(|replica| replica.balance(KIND));
        for reply in join_all(asked).await {
            assert_eq!(reply.status, 200, "round {round}: {reply:?}");
        }
    }

    // A loaded machine may keep a replica from sharing for a moment.
    assert!(fleet.reads() <= 3, "{}", fleet.reads());
}
