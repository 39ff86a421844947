//! The configuration: from TOML text to a checked [`Config`], or to every mistake at once.
//!
//! Each file reads one section, key by key, into the settings of another module. Nothing here prints a value that
//! could be a secret: `found` decides what a message may repeat.

mod account;
mod address;
mod alerts;
mod auth;
mod balances;
mod caller;
mod duration;
mod effective;
mod error;
mod expiry;
mod found;
mod freshness;
mod hooks;
mod kinds;
mod load;
mod log;
mod pem;
mod provider;
mod purpose;
mod rate;
mod reading;
mod secret;
mod section;
mod sections;
mod server;
mod setting;
mod shared;
mod source;
mod sources;
mod tls;
mod tracing;
mod value;
mod warnings;
mod watcher;
mod whole;

#[cfg(test)]
mod tests;

pub use account::AccountConfig;
pub use auth::{JwksConfig, KubernetesConfig};
pub use error::{ConfigErrors, Remark};
pub use kinds::{KindFile, load_mapping, parse_kind};
pub use load::{load, load_to_record, load_without_secrets, parse};
pub use log::{Level, LogSettings};
pub use provider::ProviderConfig;
pub use sources::Unread;
pub use watcher::{Change, Watcher};
pub use whole::Config;
