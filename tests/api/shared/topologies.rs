//! A store of several nodes: a cluster, and a master with a replica and a sentinel.

use std::process::Command;

use balance_gateway::sandbox::{Kind, Operation};

use super::fleet::{Fleet, KIND, sharing};
use super::redis::RedisServer;
use crate::harness::{KEY, Setup, eventually};
use crate::process::free_address;

/// Three nodes of a cluster that have agreed which node has which slots.
pub(super) async fn cluster() -> Vec<RedisServer> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let bus = free_address();
        let bus = bus.split_once(':').unwrap().1;
        nodes.push(RedisServer::with(&["--cluster-enabled", "yes", "--cluster-port", bus]).await);
    }
    let addresses = nodes.iter().map(RedisServer::address);
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(addresses)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    for node in &nodes {
        eventually("every node knows the others", || async {
            node.ask("CLUSTER INFO").contains("cluster_state:ok")
        })
        .await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_a_cluster_whose_nodes_hold_different_accounts() {
    let mut nodes = cluster().await;
    let addresses: Vec<_> = nodes.iter().map(RedisServer::address).collect();
    let setup = sharing(&Setup::default(), &format!("redis-cluster://{}", addresses.join(",")), 2);
    let fleet = Fleet::on(nodes.remove(0), 2, &setup).await;
    let nodes: Vec<_> = nodes.iter().chain([&fleet.store]).collect();

    for kind in Kind::ALL {
        let known: Vec<_> = nodes.iter().flat_map(|node| node.snapshots()).collect();
        let read = fleet.replicas[0].balance(kind).await;
        eventually("the snapshot is published", || async {
            nodes.iter().any(|node| node.has_published(&known))
        })
        .await;
        let found = fleet.replicas[1].balance(kind).await;

        assert_eq!((read.status, &found.body), (200, &read.body), "{kind}");
        assert_eq!(fleet.replicas[0].calls(kind, Operation::Balance).len(), 1, "{kind}");
    }
    // A message that one replica publishes at one node reaches subscribers at another node.
    let path = format!("/v1/accounts/{KIND}-demo/invalidate");
    assert_eq!(fleet.replicas[0].send("POST", &path, Some(KEY), &[]).await.status, 200);
    let is_invalid = |reply: &crate::harness::Reply| reply.header("cache-status").contains("fwd=stale");
    fleet.replicas[1]
        .until(&format!("/v1/accounts/{KIND}-demo/balance"), "the invalidation arrives", is_invalid)
        .await;
    assert_eq!(fleet.reads(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_follow_the_sentinels_to_another_master() {
    let master = RedisServer::start().await;
    let next = RedisServer::with(&["--replicaof", &master.address().replace(':', " ")]).await;
    eventually("the replica is connected to its master", || async { next.ask("ROLE").contains("connected") })
        .await;
    let sentinel = RedisServer::sentinel_of(&master, "main").await;
    eventually("the sentinel knows the replica", || async {
        sentinel.ask("SENTINEL REPLICAS main").contains(next.address())
    })
    .await;
    let setup = sharing(&Setup::default(), &format!("redis-sentinel://{}/main", sentinel.address()), 2);
    let fleet = Fleet::on(next, 2, &setup).await;
    for replica in &fleet.replicas {
        assert_eq!(replica.balance(KIND).await.status, 200);
        fleet.store.until_published(&[]).await;
    }
    assert_eq!(fleet.reads(), 1);
    let known = fleet.store.snapshots();

    master.kill();
    fleet.until_sharing(0.0).await;
    for replica in &fleet.replicas {
        assert_eq!(replica.new_balance(KIND).await.status, 200, "alone");
    }
    fleet.until_sharing(1.0).await;

    assert!(fleet.store.ask("ROLE").contains("master"));
    assert_eq!(fleet.replicas[0].balance(Kind::Avista).await.status, 200);
    fleet.store.until_published(&known).await;
    assert_eq!(fleet.replicas[1].balance(Kind::Avista).await.status, 200);
    assert_eq!(fleet.replicas[0].calls(Kind::Avista, Operation::Balance).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_log_in_at_sentinels_and_servers_with_one_password() {
    let master = RedisServer::with_password("s3nt1nel-p4ss").await;
    let sentinel = RedisServer::sentinel_of(&master, "main").await;
    let url = format!("redis-sentinel://:s3nt1nel-p4ss@{}/main", sentinel.address());
    let mut setup = sharing(&Setup::default(), "URL", 2);
    setup.further = setup.further.replace("\"URL\"", "{ env = \"STORE_URL\" }");
    setup.secrets.push(("STORE_URL", url));

    let fleet = Fleet::on(master, 2, &setup).await;

    assert_eq!(fleet.replicas[0].balance(KIND).await.status, 200);
    fleet.store.until_published(&[]).await;
    assert_eq!(fleet.replicas[1].balance(KIND).await.status, 200);
    assert_eq!(fleet.reads(), 1);
}
