//! What the shared tier is made from.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::keyring::SharedKey;
use super::url::StoreUrl;

/// What the shared tier is made from.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// Where the store is.
    pub url: StoreUrl,
    /// Who signs its certificate, in PEM; the well-known authorities where it is left out.
    pub ca: Option<Vec<u8>>,
    /// The first seals, all open, the last names; at least one.
    pub keys: Vec<Arc<SharedKey>>,
    /// What the name of every key and channel begins with.
    pub prefix: String,
    /// The longest that one operation may take.
    pub timeout: Duration,
    /// How many replicas there are, for what each may do alone.
    pub replicas: NonZeroU32,
}

impl SharedSettings {
    /// Where the store tells every replica what another one did.
    pub(super) fn channel(&self) -> String {
        format!("{}:1:events", self.prefix)
    }
}
