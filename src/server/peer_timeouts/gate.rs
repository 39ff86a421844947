//! Holds back each frame of an open-ended answer until the previous one has left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// Closed while a frame is on its way to the kernel. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct FrameGate(Arc<GateState>);

#[derive(Debug, Default)]
struct GateState {
    is_closed: AtomicBool,
    waker: AtomicWaker,
}

impl FrameGate {
    /// Whether the last frame has left.
    pub(in crate::server) fn is_open(&self) -> bool {
        !self.0.is_closed.load(Ordering::Acquire)
    }

    /// Waits until the last frame has left.
    pub(in crate::server) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        self.0.waker.register(cx.waker());
        // The frame may have left before the waker was registered.
        if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
    }

    pub(super) fn open(&self) {
        self.0.is_closed.store(false, Ordering::Release);
        self.0.waker.wake();
    }
}
