//! Replicas in one process, each with a separate cache, that share a store.

use std::time::Duration;

use balance_gateway::sandbox::Kind;

use super::redis::RedisServer;
use crate::harness::{Harness, Setup, eventually};

/// 32 bytes in base64, as `[shared]` requires.
pub(super) const KEY: &str = "c2hhcmVkLWtleS1vZi10aGUtdGVzdHMtMzItYnl0ZXM=";
pub(super) const KIND: Kind = Kind::NtxpayBr;
/// `shared.timeout`: long, because the machine may be busy.
pub(super) const TIMEOUT: Duration = Duration::from_millis(500);

/// Several replicas and the store that they share.
pub(super) struct Fleet {
    pub(super) store: RedisServer,
    pub(super) replicas: Vec<Harness>,
}

impl Fleet {
    pub(super) async fn of(count: usize) -> Self {
        Self::with(count, &Setup::default()).await
    }

    /// Starts this many replicas, and waits until all share.
    pub(super) async fn with(count: usize, setup: &Setup) -> Self {
        let store = RedisServer::start().await;
        let setup = sharing(setup, &store.url(), count);
        Self::on(store, count, &setup).await
    }

    /// The same, with a setup that already names this store.
    pub(super) async fn on(store: RedisServer, count: usize, setup: &Setup) -> Self {
        let mut replicas = vec![Harness::start(setup.clone()).await];
        for _ in 1..count {
            let next = replicas[0].beside(setup);
            replicas.push(next);
        }
        let fleet = Self { store, replicas };
        fleet.until_sharing(1.0).await;
        fleet
    }

    /// Waits until `shared_state` of every replica has this value: 1 for sharing, 0 for alone.
    pub(super) async fn until_sharing(&self, state: f64) {
        for replica in &self.replicas {
            eventually("`shared_state` has the wanted value", || async {
                replica.metric("shared_state").await == Some(state)
            })
            .await;
        }
    }

    /// The number of balance calls that the provider received.
    pub(super) fn reads(&self) -> usize {
        self.replicas[0].calls(KIND, balance_gateway::sandbox::Operation::Balance).len()
    }

    /// The sum of a counter over all replicas.
    pub(super) async fn count(&self, series: &str) -> u64 {
        let mut sum = 0;
        for replica in &self.replicas {
            sum += replica.count(series).await;
        }
        sum
    }
}

/// The setup of one of `replicas` replicas that share this store.
pub(super) fn sharing(setup: &Setup, url: &str, replicas: usize) -> Setup {
    let section = format!(
        "\n[shared]\nurl = \"{url}\"\nkey = {{ env = \"SHARED_KEY\" }}\ntimeout = \"{}ms\"\n",
        TIMEOUT.as_millis()
    );
    Setup {
        server: format!("{}\nreplicas = {replicas}\n", setup.server),
        further: format!("{}{section}", setup.further),
        secrets: [setup.secrets.as_slice(), &[("SHARED_KEY", KEY.to_owned())]].concat(),
        ..setup.clone()
    }
}
