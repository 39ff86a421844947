//! Targets of log lines: the module paths of an earlier tree, kept for the log filters of operators.

pub(super) const ATTEMPT: &str = "balance_gateway::upstream::attempt";
pub(super) const CLIENT: &str = "balance_gateway::upstream::client";
pub(super) const FAILED_READ: &str = "balance_gateway::upstream::stop";
pub(super) const FAILURE_LOG: &str = "balance_gateway::upstream::failure_log";
pub(super) const RENEWAL: &str = "balance_gateway::upstream::renewal";
