//! The task of one HTTP/2 stream. It ends when the deadline of its answer has passed.
//!
//! hyper hands an answer to h2 only when the peer's windows have room. Until then its task holds the answer: dropping
//! the task resets the stream, and h2 discards what it has not sent.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::peer_timeouts::FrameGate;

tokio::task_local! {
    /// The deadline of the answer of this task's stream.
    static BOUND: RefCell<Option<Bound>>;
}

/// Runs each stream: inline if it is ready at once, else as a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTasks;

/// The deadline of an answer, or of one frame of it.
struct Bound {
    at: Instant,
    /// The gate of a frame: open once the frame has left.
    gate: Option<FrameGate>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        let mut task = Box::pin(BOUND.scope(RefCell::new(None), run(stream)));
        // Most answers are ready at once and need no task. A flood of streams would spawn thousands.
        let mut at_once = Context::from_waker(Waker::noop());
        if task.as_mut().poll(&mut at_once).is_pending() {
            tokio::spawn(task);
        }
    }
}

/// Sets the deadline of the current stream's answer. Does nothing on HTTP/1, which has no stream tasks.
pub(super) fn bound(taken_by: Option<Instant>) {
    set(taken_by.map(|at| Bound { at, gate: None }));
}

/// Sets the deadline of a frame of the current stream.
pub(super) fn bound_frame(taken_by: Instant, gate: &FrameGate) {
    set(Some(Bound { at: taken_by, gate: Some(gate.clone()) }));
}

fn set(to: Option<Bound>) {
    // Outside a stream's task, the connection bounds its answers itself.
    let _ = BOUND.try_with(|bound| *bound.borrow_mut() = to);
}

/// The deadline of bytes that are not sent yet.
fn deadline() -> Option<Instant> {
    BOUND.with(|bound| {
        let bound = bound.borrow();
        let pending = bound.as_ref().filter(|bound| !bound.gate.as_ref().is_some_and(FrameGate::is_open));
        pending.map(|bound| bound.at)
    })
}

async fn run(stream: impl Future) {
    let mut stream = pin!(stream);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        // Checked before the stream: after a suspend of the machine, the window may have just opened.
        if deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Poll::Ready(());
        }
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(deadline) = deadline() else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}
