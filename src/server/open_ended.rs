//! Marks an answer without a foreseeable end, such as an event stream.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A response extension for a body without a foreseeable end. Silence does not count against the peer, and the
/// connection closes after the body.
///
/// The peer takes one frame at a time. The body sets the deadline of a frame right before it yields the frame.
#[derive(Clone, Debug, Default)]
pub struct OpenEnded {
    /// The deadline of the next frame.
    next: Arc<Mutex<Option<Instant>>>,
}

impl OpenEnded {
    /// Sets the deadline of the next frame: the frame is not sent after it.
    pub fn bound_next(&self, taken_by: Option<Instant>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = taken_by;
    }

    /// Takes the deadline of the frame that the body has just yielded.
    pub(super) fn take_bound(&self) -> Option<Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
