//! Bytes of an answer that more bytes follow.

use std::sync::Arc;

use super::{gate::Gate, state::ConnectionState};

/// Bytes of an answer that more bytes follow: the connection learns when it holds them, and the gate when they have left.
#[derive(Debug)]
pub(in crate::server) struct Part {
    pub(super) state: Arc<ConnectionState>,
    /// When the bytes must have left, in microseconds since the accept, or `NONE`.
    pub(super) taken_by: u64,
    /// Closed until the bytes have left.
    pub(super) gate: Option<Gate>,
}

impl Part {
    /// The connection, and then the kernel, holds the bytes.
    pub(in crate::server) fn note_written(&self) {
        self.state.untaken.note_due(self.taken_by);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.open();
        }
    }
}
