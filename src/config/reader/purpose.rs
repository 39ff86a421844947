//! The purpose of reading a configuration.

use super::sources::Sources;

/// The purpose of reading a configuration.
#[derive(Clone, Copy)]
pub(in crate::config) enum Purpose<'a> {
    /// To start.
    Start,
    /// To replace a configuration whose sources had these contents.
    Reload(&'a Sources),
    /// To check only its text.
    WithoutSecrets,
    /// To record the first body of this account: of its kind only the request is needed.
    Recording(&'a str),
}
