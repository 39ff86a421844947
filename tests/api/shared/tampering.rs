//! An attacker who can write to the store: planted, replayed and swapped values are refused, counted and read again.

use std::time::Duration;

use redis::Commands;
use tokio::time::interval;

use super::fleet::{Fleet, KIND};
use crate::harness::{Setup, eventually};

async fn published(fleet: &Fleet, count: usize) -> Vec<String> {
    eventually("every snapshot is published", || async { fleet.store.snapshots().len() == count }).await;
    fleet.store.snapshots()
}

async fn invalid(fleet: &Fleet) -> u64 {
    fleet.count("shared_errors_total{operation=\"lookup\",kind=\"invalid\"}").await
}

#[tokio::test]
async fn a_planted_value_is_refused_counted_and_read_again() {
    for (field, value) in [("v", "{\"available\":\"9.99\"}"), ("n", "9007199254740991"), ("t", "1")] {
        let fleet = Fleet::of(2).await;
        fleet.replicas[0].balance(KIND).await;
        let [key] = &published(&fleet, 1).await[..] else { panic!("one snapshot") };
        let () = fleet.store.connection().hset(key, field, value).unwrap();

        let reply = fleet.replicas[1].balance(KIND).await;

        assert_eq!((reply.status, reply.json()["available"].as_str()), (200, Some("48734.90")), "{field}");
        assert_eq!((fleet.reads(), invalid(&fleet).await), (2, 1), "{field}");
    }
}

#[tokio::test]
async fn a_value_of_another_balance_is_refused_counted_and_read_again() {
    let fleet = Fleet::of(2).await;
    for currency in ["BRL", "USD"] {
        let path = format!("/v1/accounts/pluggo-demo/balance?currency={currency}");
        assert_eq!(fleet.replicas[0].get(&path).await.status, 200);
    }
    let keys = published(&fleet, 2).await;
    let mut connection = fleet.store.connection();
    let [one, other] =
        [&keys[0], &keys[1]].map(|key| connection.hgetall::<_, Vec<(String, Vec<u8>)>>(key).unwrap());
    let () = connection.hset_multiple(&keys[0], &other).unwrap();
    let () = connection.hset_multiple(&keys[1], &one).unwrap();

    for currency in ["BRL", "USD"] {
        let path = format!("/v1/accounts/pluggo-demo/balance?currency={currency}");
        let (sent, reply) = (fleet.replicas[0].get(&path).await, fleet.replicas[1].get(&path).await);
        assert_eq!((reply.status, reply.json()["currency"].as_str()), (200, Some(currency)));
        assert_eq!(reply.json()["available"], sent.json()["available"]);
    }
    assert_eq!(invalid(&fleet).await, 2);
}

#[tokio::test]
async fn an_expired_value_that_is_put_back_is_refused_counted_and_read_again() {
    let setup = Setup { provider: "max_age = \"2s\"\nfresh_for = \"1s\"".to_owned(), ..Setup::default() };
    let fleet = Fleet::with(2, &setup).await;
    fleet.replicas[0].balance(KIND).await;
    let [key] = &published(&fleet, 1).await[..] else { panic!("one snapshot") };
    let mut connection = fleet.store.connection();
    let old: Vec<(String, Vec<u8>)> = connection.hgetall(key).unwrap();
    fleet.replicas[0].provider(KIND).set_field("BRL", None, "netBalance", "100.00");
    eventually("the stored snapshot has expired", || async { fleet.store.snapshots().is_empty() }).await;

    let () = connection.hset_multiple(key, &old).unwrap();
    let reply = fleet.replicas[1].balance(KIND).await;

    assert_eq!(reply.json()["available"], "100.00");
    assert_eq!((fleet.reads(), invalid(&fleet).await), (2, 1));
}

#[tokio::test]
async fn an_entry_of_another_type_is_deleted_and_ignored() {
    let fleet = Fleet::of(2).await;
    fleet.replicas[0].balance(KIND).await;
    published(&fleet, 1).await;
    for key in fleet.store.keys() {
        let () = fleet.store.connection().del(&key).unwrap();
        let () = fleet.store.connection().set(&key, "1").unwrap();
    }

    assert_eq!(fleet.replicas[1].balance(KIND).await.status, 200);
    assert_eq!(fleet.replicas[1].new_balance(KIND).await.status, 200);
    let refused = async |operation: &str| {
        fleet.count(&format!("shared_errors_total{{operation=\"{operation}\",kind=\"invalid\"}}")).await
    };
    assert!(refused("lease").await + refused("budget").await > 0);
    eventually("they share again", || async {
        let before = fleet.reads();
        fleet.replicas[0].new_balance(KIND).await;
        let found = fleet.replicas[1]
            .get_with("/v1/accounts/ntxpay-br-demo/balance", &[("cache-control", "max-age=1")]);
        found.await;
        let mut connection = fleet.store.connection();
        let is_planted = |key| connection.key_type::<_, String>(key).unwrap() == "string";
        fleet.reads() == before + 1 && !fleet.store.keys().into_iter().any(is_planted)
    })
    .await;
}

fn key_that_ends_with(fleet: &Fleet, ending: &str) -> String {
    fleet.store.keys().into_iter().find(|key| key.ends_with(ending)).unwrap()
}

/// Calls that end later than any real one, and more calls than all replicas can make.
#[tokio::test]
async fn planted_calls_do_not_use_up_the_budget() {
    for (count, seconds) in [(20, 3600), (3000, 5)] {
        let lines = "budget = { requests = 12, per = \"1s\" }".to_owned();
        let fleet =
            Fleet::with(1, &Setup { provider: lines, has_static_tokens: true, ..Setup::default() }).await;
        assert_eq!(fleet.replicas[0].new_balance(KIND).await.status, 200);
        let mut connection = fleet.store.connection();
        let (now, _): (u64, u64) = redis::cmd("TIME").query(&mut connection).unwrap();
        let ends = (now + seconds) * 1_000_000;
        let planted: Vec<(u64, String)> =
            (0..count).map(|number| (ends, format!("planted{number}"))).collect();
        let () = connection.zadd_multiple(key_that_ends_with(&fleet, ":calls"), &planted).unwrap();

        // In its first second the epoch is new, and the store's log decides nothing.
        let mut ticks = interval(Duration::from_millis(250));
        for _ in 0..8 {
            ticks.tick().await;
            let reply = fleet.replicas[0].new_balance(KIND).await;
            assert_eq!(reply.status, 200, "{count} calls: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_planted_mark_out_of_bounds_does_not_count() {
    let fleet = Fleet::of(2).await;
    fleet.replicas[0].balance(KIND).await;
    published(&fleet, 1).await;
    let (state, mut connection) = (key_that_ends_with(&fleet, ":state"), fleet.store.connection());
    let fields: Vec<String> = connection.hkeys(&state).unwrap();
    let balance = fields.iter().find_map(|field| field.strip_prefix('n')).unwrap();
    let () = connection.hset(&state, format!("m{balance}"), "9007199254740991").unwrap();

    assert_eq!(fleet.replicas[1].balance(KIND).await.status, 200);

    assert_eq!(fleet.reads(), 1);
}

#[tokio::test]
async fn the_store_receives_no_amount_and_no_name() {
    let fleet = Fleet::with(2, &Setup::default()).await;
    for path in ["/v1/balances", "/v1/reconciliation"] {
        assert_eq!(fleet.replicas[0].get(path).await.status, 200);
    }
    let invalidate = "/v1/accounts/avista-demo/invalidate";
    fleet.replicas[0].send("POST", invalidate, Some(crate::harness::KEY), &[]).await;
    published(&fleet, 5).await;

    let mut connection = fleet.store.connection();
    let mut dump = Vec::new();
    for key in fleet.store.keys() {
        dump.extend(key.as_bytes());
        dump.extend(redis::cmd("DUMP").arg(&key).query::<Vec<u8>>(&mut connection).unwrap());
        if connection.key_type::<_, String>(&key).unwrap() == "hash" {
            let fields: Vec<(Vec<u8>, Vec<u8>)> = connection.hgetall(&key).unwrap();
            dump.extend(fields.into_iter().flat_map(|(name, value)| [name, value]).flatten());
        }
    }

    let contains = |text: &str| dump.windows(text.len()).any(|part| part == text.as_bytes());
    for text in ["48734", "available", "BRL", "ntxpay", "pluggo", "avista", "demo", "bgk_"] {
        assert!(!contains(text), "{text}");
    }
    assert!(dump.len() > 1000, "{} bytes", dump.len());
}
