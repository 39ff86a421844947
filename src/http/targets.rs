//! Targets of log lines. They are constants, so that moving a file changes no log line.

pub(super) const CSV: &str = "balance_gateway::http::reconciliation::csv";
pub(super) const FORCED_LOG: &str = "balance_gateway::http::forced_log";
pub(super) const HOOKS: &str = "balance_gateway::http::hooks::service";
pub(super) const REQUEST_INFO: &str = "balance_gateway::http::arrival";
