//! A store in memory for tests. It runs the shipped scripts on its own data, behind a network that delays, loses and
//! reorders messages. It may stop, fill up, fail over and lose everything, and its clock may step.

mod engine;
mod keyspace;
mod link;
mod server;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretBox;

use balance_gateway::shared::{SharedSettings, StoreUrl};
pub(crate) use link::Told;
pub(crate) use server::{Server, Weather};

/// The settings of one of three replicas that share this store.
pub(crate) fn settings(timeout: Duration) -> SharedSettings {
    SharedSettings {
        url: StoreUrl::parse("redis://simulated").unwrap(),
        ca: None,
        keys: vec![Arc::new(SecretBox::new(Box::new([7; 32])))],
        prefix: "p".to_owned(),
        timeout,
        replicas: NonZeroU32::new(3).unwrap(),
    }
}
