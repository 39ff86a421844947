//! Attributes of a request for its log line and its span.

use crate::domain::{AccountName, CallerName};

/// Set by the layers and the handler as a response extension. Never holds an amount.
#[derive(Clone, Debug, Default)]
pub(super) struct Logged {
    pub(super) caller: Option<CallerName>,
    pub(super) account: Option<AccountName>,
    pub(super) outcome: Option<&'static str>,
    pub(super) age_seconds: Option<u64>,
}
