//! Reads the sections of a configuration, one file each, into the settings of other modules.

mod account;
mod all;
mod auth;
mod caller;
mod freshness;
mod hooks;
mod kinds;
mod log;
mod provider;
mod server;
mod shared;
mod tls;
mod tracing;

pub use account::AccountConfig;
pub(super) use all::read;
pub use auth::{JwksConfig, KubernetesConfig};
pub use kinds::{KindFile, load_mapping, parse_kind};
pub use log::{Level, LogSettings};
pub use provider::ProviderConfig;
