//! Bytes of an answer that are not its last.

use std::sync::Arc;

use super::{gate::FrameGate, state::ConnectionState};

/// A guard for bytes that are not the last of an answer. It notes when the connection holds them, and opens the gate
/// when they have left.
#[derive(Debug)]
pub(in crate::server) struct PartGuard {
    pub(super) state: Arc<ConnectionState>,
    /// When the bytes must have left, in microseconds since the accept, or `NONE`.
    pub(super) taken_by: u64,
    /// Closed until the bytes have left.
    pub(super) gate: Option<FrameGate>,
}

impl PartGuard {
    /// Notes that the connection, and later the kernel, holds the bytes.
    pub(in crate::server) fn note_written(&self) {
        self.state.untaken.note_due(self.taken_by);
    }
}

impl Drop for PartGuard {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.open();
        }
    }
}
