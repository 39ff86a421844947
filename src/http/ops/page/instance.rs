//! The state of this instance as a whole.

/// The facts about this instance that the page shows.
pub(in crate::http::ops) struct Instance {
    pub(in crate::http::ops) is_draining: bool,
    /// The configured number of replicas.
    pub(in crate::http::ops) replicas: u32,
    /// Whether this replica shares balances with the others; `None` without a store.
    pub(in crate::http::ops) is_sharing: Option<bool>,
    pub(in crate::http::ops) rejected_reloads: u64,
}
