//! Targets of log lines: the module paths of an earlier tree, kept for the log filters of operators.

pub(super) const CONNECTION: &str = "balance_gateway::http::connection";
pub(super) const LISTENER: &str = "balance_gateway::http::listener";
