//! Targets of log lines: the module paths of an earlier tree, kept for the log filters of operators.

pub(super) const CSV: &str = "balance_gateway::http::reconciliation::csv";
pub(super) const FORCED_LOG: &str = "balance_gateway::http::forced_log";
pub(super) const HOOKS: &str = "balance_gateway::http::hooks::service";
pub(super) const REQUEST_INFO: &str = "balance_gateway::http::arrival";
