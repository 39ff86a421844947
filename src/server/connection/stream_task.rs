//! The task of one HTTP/2 stream, which ends when its answer must not leave any more.
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

use crate::server::peer_timeouts::Gate;

tokio::task_local! {
    /// What bounds the answer of this task's stream.
    static BOUND: RefCell<Option<Bound>>;
}

/// Runs each stream: at once if it is ready, else as a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTasks;

/// The deadline of an answer, or of one frame of it.
struct Bound {
    at: Instant,
    /// The gate of a frame: open once the frame has left.
    gate: Option<Gate>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        let mut task = Box::pin(BOUND.scope(RefCell::new(None), run(stream)));
        // Most answers are ready at once, and need no task: a flood of streams would make thousands of them.
        let mut at_once = Context::from_waker(Waker::noop());
        if task.as_mut().poll(&mut at_once).is_pending() {
            tokio::spawn(task);
        }
    }
}

/// Notes until when the answer of the current stream may leave. On HTTP/1 there is no such task.
pub(super) fn bound(taken_by: Option<Instant>) {
    set(taken_by.map(|at| Bound { at, gate: None }));
}

/// Notes until when a frame of the current stream may leave.
pub(super) fn bound_frame(taken_by: Instant, gate: &Gate) {
    set(Some(Bound { at: taken_by, gate: Some(gate.clone()) }));
}

fn set(to: Option<Bound>) {
    // Outside a stream's task, the connection bounds its answers itself.
    let _ = BOUND.try_with(|bound| *bound.borrow_mut() = to);
}

/// The deadline of what has not left yet.
fn deadline() -> Option<Instant> {
    BOUND.with(|bound| {
        let bound = bound.borrow();
        let pending = bound.as_ref().filter(|bound| !bound.gate.as_ref().is_some_and(Gate::is_open));
        pending.map(|bound| bound.at)
    })
}

async fn run(stream: impl Future) {
    let mut stream = pin!(stream);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        // Before the stream: the window may have opened just now, on a machine that was asleep.
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
