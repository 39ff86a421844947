//! The configuration: from TOML text to a checked [`Config`], or to every mistake at once.
//!
//! `reader` reads TOML tables key by key, `values` holds the values that keys can have, and `sections` reads each section
//! into the settings of another module. Nothing here prints a value that could be a secret: `reader/found.rs` decides what
//! a message may repeat.

mod load;
mod reader;
mod sections;
mod values;
mod warnings;
mod watcher;
mod whole;

#[cfg(test)]
mod tests;

pub use load::{load, load_to_record, load_without_secrets, parse};
pub use reader::{ConfigErrors, Remark, Unread};
pub use sections::{
    AccountConfig, JwksConfig, KindFile, KubernetesConfig, Level, LogSettings, ProviderConfig, load_mapping,
    parse_kind,
};
pub use watcher::{Change, Watcher};
pub use whole::Config;
