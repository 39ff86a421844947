//! A mapping that is corrected on replicas that share a store: what one replica read with the old mapping, no other serves
//! under the new one.

use std::fs;

use super::fleet::KEY;
use super::redis::RedisServer;
use crate::harness::eventually;
use crate::kinds::{ACCOUNT, Site, centavos_site};
use crate::process::Gateway;

async fn replica(site: &Site) -> Gateway {
    let gateway = site.serve().await;
    eventually("it shares", || async { !gateway.lines_of("shared_joined").is_empty() }).await;
    gateway
}

async fn available(gateway: &Gateway) -> String {
    let reply = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["available"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replica_serves_an_amount_of_a_mapping_that_it_no_longer_has() {
    let (old, new) = ("4873.491", "48734.91");
    let store = RedisServer::start().await;
    let site = centavos_site().await;
    let key = site.folder.write("shared-key", KEY);
    let config = fs::read_to_string(&site.config).unwrap();
    let shared = format!(
        "[shared]\nurl = \"{}\"\nkey = {{ file = \"{key}\" }}\ntimeout = \"500ms\"\n[kinds.k]",
        store.url()
    );
    site.folder.write("gateway.toml", &config.replacen("[kinds.k]", &shared, 1));
    let replicas = [replica(&site).await, replica(&site).await];
    for gateway in &replicas {
        assert_eq!(available(gateway).await, old);
    }

    site.correct();
    for (reloaded, gateway) in replicas.iter().enumerate() {
        gateway.signal("HUP");
        eventually("it is reloaded", || async { !gateway.lines_of("config_reloaded").is_empty() }).await;
        // The other one reads on with the old mapping, and publishes what it reads.
        for _ in 0..20 {
            for later in &replicas[reloaded + 1..] {
                let reply = later.get_with(ACCOUNT, &[("cache-control", "no-cache")]).await;
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            assert_eq!(available(gateway).await, new);
        }
    }
}
