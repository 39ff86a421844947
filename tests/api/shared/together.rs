//! Accounts whose every answer holds all balances, on replicas that share a store: one call fills each balance at each
//! replica.

use std::sync::Arc;
use std::time::Duration;

use balance_gateway::sandbox::Operation;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::mapping::replicas;
use super::redis::RedisServer;
use crate::harness::{Reply, eventually, is_long};
use crate::kinds::{ACCOUNT, Site, THREE, whole_site};
use crate::process::Gateway;

const CURRENCIES: [(&str, &str); 3] = [("BRL", "48734.91"), ("USD", "1.01"), ("EUR", "2.02")];

async fn read(gateway: &Gateway, currency: &str, demand: &str) -> Reply {
    gateway.get_with(&format!("{ACCOUNT}?currency={currency}"), &[("cache-control", demand)]).await
}

fn calls(site: &Site) -> usize {
    site.calls(Operation::Balance).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_fills_every_balance_at_every_replica() {
    let (site, store) = (whole_site(THREE).await, RedisServer::start().await);
    let [first, second] = replicas(&site, &store).await;

    assert_eq!(read(&first, "BRL", "no-cache").await.status, 200);
    for (currency, available) in CURRENCIES {
        eventually("the balance is cached at this replica", || async {
            read(&first, currency, "only-if-cached").await.status == 200
        })
        .await;
        let reply = read(&second, currency, "max-age=60").await;
        assert_eq!((reply.status, &reply.json()["available"]), (200, &available.into()), "{reply:?}");
    }

    assert_eq!(calls(&site), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demands_for_different_balances_at_different_replicas_share_their_calls() {
    let (site, store) = (whole_site(THREE).await, RedisServer::start().await);
    let replicas = replicas(&site, &store).await;
    let mut demands = JoinSet::new();
    for gateway in &replicas {
        for (currency, available) in CURRENCIES {
            let gateway = Arc::clone(gateway);
            demands.spawn(async move { (read(&gateway, currency, "no-cache").await, available) });
        }
    }

    for (reply, available) in demands.join_all().await {
        assert_eq!((reply.status, &reply.json()["available"]), (200, &available.into()), "{reply:?}");
    }

    // A demand that arrives while a call runs needs the next one.
    assert!(calls(&site) <= 3, "{} calls for six demands", calls(&site));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidated_balance_is_not_filled_from_an_earlier_answer() {
    let (site, store) = (whole_site(THREE).await, RedisServer::start().await);
    let [first, second] = replicas(&site, &store).await;
    assert_eq!(read(&first, "BRL", "no-cache").await.status, 200);
    assert_eq!(read(&second, "EUR", "max-age=60").await.status, 200);

    let request = second.client.post(format!("http://{}{}", second.api, "/v1/accounts/a/invalidate"));
    assert_eq!(request.bearer_auth(second.key).send().await.unwrap().status(), 200);

    for (index, (currency, available)) in CURRENCIES.into_iter().enumerate() {
        let reply = read([&first, &second][index % 2], currency, "max-age=60").await;
        assert_eq!((reply.status, &reply.json()["available"]), (200, &available.into()), "{reply:?}");
    }
    assert_eq!(calls(&site), 2, "one before the invalidation, one after it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_balances_read_once_a_second_at_two_replicas_cost_the_calls_of_one() {
    let (site, store) = (whole_site(THREE).await, RedisServer::start().await);
    site.rewrite("[kinds.k]", "[freshness]\nfresh_for = \"2s\"\n[kinds.k]");
    let replicas = replicas(&site, &store).await;
    let seconds = if is_long() { 60 } else { 8 };

    let mut ticks = interval(Duration::from_secs(1));
    for second in 0..seconds {
        ticks.tick().await;
        let mut reads = JoinSet::new();
        for (at, gateway) in replicas.iter().enumerate() {
            // Each time, and at each replica, another balance is read first.
            for place in 0..CURRENCIES.len() {
                let (gateway, (currency, _)) = (Arc::clone(gateway), CURRENCIES[(place + at + second) % 3]);
                reads.spawn(async move { read(&gateway, currency, "max-age=60").await });
            }
        }
        for reply in reads.join_all().await {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }

    println!("{} calls in {seconds} s for three balances at two replicas", calls(&site));
    // At most one background refresh every two seconds, and the first read.
    assert!(calls(&site) <= seconds / 2 + 1, "{} calls in {seconds} s", calls(&site));
}
