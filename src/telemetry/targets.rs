//! Log targets with a level of their own. They are constants, so that moving a file changes no log line.

/// Denied access, logged at every level.
pub const DENIED: &str = "balance_gateway::http::denied";
/// One line per request, if configured; logged at every level.
pub const REQUESTS: &str = "balance_gateway::http::observe";
/// Events of the process lifecycle, such as `ready`; `serve` logs them at every level.
pub const LIFECYCLE: &str = "balance_gateway::app";
/// Certificates that cannot be used; below [`LIFECYCLE`].
pub const ASSEMBLY: &str = "balance_gateway::app::assembly";
/// Reloads of the configuration; below [`LIFECYCLE`].
pub const RELOAD: &str = "balance_gateway::app::reload";
