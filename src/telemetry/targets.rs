//! The log targets that a level treats in its own way. They are constants, so that moving a file changes no log line.

/// Denied access, logged at every level.
pub const DENIED: &str = "balance_gateway::http::denied";
/// One line per request, where the configuration asks for it; logged at every level.
pub const REQUESTS: &str = "balance_gateway::http::observe";
/// The events of a process's life: `ready` is logged at every level.
pub const LIFECYCLE: &str = "balance_gateway::app";
