//! The task of one HTTP/2 stream, which ends when its answer must not leave any more.
//!
//! hyper hands an answer to h2 only when the peer's windows have room. Until then its task holds the answer: dropping
//! the task resets the stream, and nothing of the answer leaves.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    /// Until when the answer of this task's stream may leave.
    static TAKEN_BY: Cell<Option<Instant>>;
}

/// Runs each stream as a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTasks;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        tokio::spawn(TAKEN_BY.scope(Cell::new(None), run(stream)));
    }
}

/// Notes until when the answer of the current stream may leave. On HTTP/1 there is no such task.
pub(super) fn bound(taken_by: Option<Instant>) {
    // Outside a stream's task, the connection bounds its answers itself.
    let _ = TAKEN_BY.try_with(|bound| bound.set(taken_by));
}

async fn run(stream: impl Future) {
    let mut stream = pin!(stream);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        // Before the stream: the window may have opened just now, on a machine that was asleep.
        if TAKEN_BY.with(Cell::get).is_some_and(|taken_by| taken_by <= Instant::now()) {
            return Poll::Ready(());
        }
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match TAKEN_BY.with(Cell::get) {
            Some(taken_by) => timer.get_or_insert_with(|| Box::pin(sleep_until(taken_by))).as_mut().poll(cx),
            None => Poll::Pending,
        }
    })
    .await;
}
