//! The state of this instance as a whole.

/// What the page shows beside the gateway's state.
pub(in crate::http::ops) struct Instance {
    pub(in crate::http::ops) is_draining: bool,
    /// How many replicas the configuration says there are.
    pub(in crate::http::ops) replicas: u32,
    /// Whether this one shares balances with the others; `None` without a store.
    pub(in crate::http::ops) is_sharing: Option<bool>,
    pub(in crate::http::ops) rejected_reloads: u64,
}
