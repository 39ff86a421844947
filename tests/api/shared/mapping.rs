//! A mapping that is corrected on replicas that share a store: a replica with the new mapping never serves a balance
//! that another replica read with the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::fleet::KEY;
use super::redis::RedisServer;
use crate::harness::eventually;
use crate::kinds::{ACCOUNT, Site, centavos_site};
use crate::process::Gateway;

/// Two replicas that share a store.
pub(super) async fn replicas(site: &Site, store: &RedisServer) -> [Arc<Gateway>; 2] {
    let key = site.folder.write("shared-key", KEY);
    let shared = format!(
        "[shared]\nurl = \"{}\"\nkey = {{ file = \"{key}\" }}\ntimeout = \"500ms\"\n[kinds.k]",
        store.url()
    );
    site.rewrite("[kinds.k]", &shared);
    [Arc::new(replica(site).await), Arc::new(replica(site).await)]
}

async fn replica(site: &Site) -> Gateway {
    let gateway = site.serve().await;
    eventually("the replica shares", || async { !gateway.lines_of("shared_joined").is_empty() }).await;
    gateway
}

const OLD: &str = "4873.491";
const NEW: &str = "48734.91";

async fn available(gateway: &Gateway) -> String {
    let reply = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["available"].as_str().unwrap().to_owned()
}

/// Reads at one replica until `is_over`. No answer that begins after its reload may carry the old amount.
async fn load(gateway: Arc<Gateway>, is_reloaded: Arc<AtomicBool>, is_over: Arc<AtomicBool>) -> [u32; 2] {
    let mut seen = [0, 0];
    while !is_over.load(Ordering::SeqCst) {
        let was_reloaded = is_reloaded.load(Ordering::SeqCst);
        let demand = if seen[0] % 4 == 0 { "no-cache" } else { "max-age=60" };
        let reply = gateway.get_with(ACCOUNT, &[("cache-control", demand)]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let amount = reply.json()["available"].as_str().unwrap().to_owned();
        assert!(amount == NEW || !was_reloaded && amount == OLD, "reloaded: {was_reloaded}, {reply:?}");
        seen[0] += 1;
        seen[1] += u32::from(was_reloaded);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_replica_serves_an_amount_of_a_mapping_that_it_no_longer_has() {
    let store = RedisServer::start().await;
    let site = centavos_site().await;
    let replicas = replicas(&site, &store).await;
    for gateway in &replicas {
        assert_eq!(available(gateway).await, OLD);
    }
    let is_over = Arc::<AtomicBool>::default();
    let is_reloaded = [(); 2].map(|()| Arc::<AtomicBool>::default());
    let mut loads = JoinSet::new();
    for (gateway, is_reloaded) in replicas.iter().zip(&is_reloaded) {
        for _ in 0..3 {
            loads.spawn(load(Arc::clone(gateway), Arc::clone(is_reloaded), Arc::clone(&is_over)));
        }
    }

    site.correct();
    for (gateway, is_reloaded) in replicas.iter().zip(&is_reloaded) {
        // The other replica still reads with the old mapping, and publishes its snapshots.
        gateway.signal("HUP");
        eventually("the configuration is reloaded", || async {
            !gateway.lines_of("config_reloaded").is_empty()
        })
        .await;
        is_reloaded.store(true, Ordering::SeqCst);
        for _ in 0..20 {
            assert_eq!(available(gateway).await, NEW);
        }
    }
    is_over.store(true, Ordering::SeqCst);

    for [seen, after] in loads.join_all().await {
        assert!(seen > after && after > 0, "{seen} answers, {after} of them after the reload");
    }
}
