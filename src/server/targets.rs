//! Targets of log lines. They are constants, so that moving a file changes no log line.

pub(super) const CONNECTION: &str = "balance_gateway::http::connection";
pub(super) const LISTENER: &str = "balance_gateway::http::listener";
