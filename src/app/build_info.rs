//! Version and revision of this build.

/// The source revision, if the build knows it.
pub(super) const REVISION: &str = match option_env!("BALANCE_GATEWAY_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The version of the crate.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
