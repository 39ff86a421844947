//! The settings of the shared tier.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::keyring::SharedKey;
use super::url::StoreUrl;

/// The settings of the shared tier.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// The store's address.
    pub url: StoreUrl,
    /// The authority of its certificate in PEM; the public authorities if `None`.
    pub ca: Option<Vec<u8>>,
    /// At least one key: the first encrypts, every key decrypts, the last derives names.
    pub keys: Vec<Arc<SharedKey>>,
    /// The prefix of every key and channel.
    pub prefix: String,
    /// The time-out of one operation.
    pub timeout: Duration,
    /// The number of replicas, by which a shared limit is divided into local shares.
    pub replicas: NonZeroU32,
}

impl SharedSettings {
    /// For tests: a store at an address where none is.
    #[cfg(test)]
    pub(crate) fn unreachable(replicas: u32) -> Self {
        Self {
            url: StoreUrl::parse("redis://127.0.0.1:1").unwrap(),
            ca: None,
            keys: vec![Arc::new(SharedKey::new(Box::new([1; 32])))],
            prefix: "test".to_owned(),
            timeout: Duration::from_millis(30),
            replicas: replicas.try_into().unwrap(),
        }
    }

    /// The channel on which replicas learn of each other's actions.
    pub(super) fn channel(&self) -> String {
        format!("{}:1:events", self.prefix)
    }
}
