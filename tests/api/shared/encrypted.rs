//! A store with TLS: replicas share it if they trust its certificate, and work alone if they do not.

use super::fleet::{Fleet, KIND, sharing};
use super::redis::RedisServer;
use crate::harness::{Harness, Setup, eventually};
use crate::mutual_tls::Authority;
use crate::process::{Folder, free_address};

/// A store with a certificate for this name, its URL, and the configuration line that trusts its authority.
async fn store_called(name: &str) -> (RedisServer, String, String, Folder) {
    let (authority, folder) = (Authority::new(), Folder::new());
    let [certificate, key] = authority.issue(name);
    let [certificate, key, ca] = [("tls.crt", certificate), ("tls.key", key), ("ca.crt", authority.pem())]
        .map(|(name, pem)| folder.write(name, &pem));
    let address = free_address();
    let port = address.split_once(':').unwrap().1;
    let store = RedisServer::with(&[
        "--tls-port",
        port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    (store, format!("rediss://{address}"), format!("ca = {ca:?}\n"), folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_over_tls() {
    let (store, url, ca, _folder) = store_called("127.0.0.1").await;
    let mut setup = sharing(&Setup::default(), &url, 2);
    setup.further += &ca;

    let fleet = Fleet::on(store, 2, &setup).await;

    for replica in &fleet.replicas {
        assert_eq!(replica.balance(KIND).await.status, 200);
        fleet.store.until_published(&[]).await;
    }
    assert_eq!(fleet.reads(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_work_alone_when_they_do_not_trust_the_store() {
    for (name, is_signed) in [("127.0.0.1", false), ("elsewhere.example", true)] {
        let (_store, url, ca, _folder) = store_called(name).await;
        let mut setup = sharing(&Setup::default(), &url, 2);
        if is_signed {
            setup.further += &ca;
        }

        let gateway = Harness::start(setup).await;

        let refused = "shared_errors_total{operation=\"subscribe\",kind=\"connect\"}";
        eventually("the replica has tried to connect more than once", || async {
            gateway.count(refused).await > 1
        })
        .await;
        assert_eq!(gateway.metric("shared_state").await, Some(0.0), "{name}");
        assert_eq!(gateway.new_balance(KIND).await.status, 200, "{name}");
    }
}
