//! The stages of a shutdown, and the signals that begin one.
//!
//! Every answer checks a stage. So each stage is a flag beside its cancellation token: checking a token takes a lock.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The stages of a shutdown: draining, then not accepting, then cutting. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: Stage,
    stopped: Stage,
    cut: Stage,
}

/// SIGTERM and SIGINT since the handlers were installed.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Tells one task that accepting has stopped. It takes the lock of the token only at the first poll.
#[derive(Debug)]
pub(crate) struct StopWatch {
    stopped: Stage,
    waker: Option<Waker>,
    reached: Pin<Box<WaitForCancellationFutureOwned>>,
}

#[derive(Clone, Debug, Default)]
struct Stage {
    is_reached: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Shutdown {
    /// The stages for a listener that serves to the end: it never drains, and stops with the cut.
    #[must_use]
    pub fn until_cut(&self) -> Self {
        Self { draining: Stage::default(), stopped: self.cut.clone(), cut: self.cut.clone() }
    }

    /// Goes through the first two stages: draining at once, not accepting after `delay`.
    ///
    /// The caller begins the third stage, because only it knows when all draining parts have ended.
    pub async fn drain(&self, delay: Duration) {
        self.begin_drain();
        tokio::time::sleep(delay).await;
        self.begin_stop();
    }

    /// Begins draining: readiness fails, and every answer closes its connection.
    pub fn begin_drain(&self) {
        self.draining.reach();
    }

    /// Stops accepting connections, and closes idle ones.
    pub fn begin_stop(&self) {
        self.begin_drain();
        self.stopped.reach();
    }

    /// Cuts the remaining connections.
    pub fn begin_cut(&self) {
        self.begin_stop();
        self.cut.reach();
    }

    /// Whether draining has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_reached()
    }

    /// Waits until draining begins.
    pub async fn draining(&self) {
        self.draining.token.cancelled().await;
    }

    /// Waits until no connection is accepted any more.
    pub async fn stopped_accepting(&self) {
        self.stopped.token.cancelled().await;
    }

    /// Waits until the remaining connections are cut.
    pub async fn cut(&self) {
        self.cut.token.cancelled().await;
    }

    /// A watch for one task that is polled with every request.
    pub(crate) fn watch_stop(&self) -> StopWatch {
        let reached = Box::pin(self.stopped.token.clone().cancelled_owned());
        StopWatch { stopped: self.stopped.clone(), waker: None, reached }
    }
}

impl Signals {
    /// Installs handlers for both signals, whose default ends the process at once. Call it before anything slow.
    ///
    /// # Errors
    /// When the system rejects a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal of either kind.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP since the handler was installed.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Installs a handler for the signal, whose default ends the process.
    ///
    /// # Errors
    /// When the system rejects a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl StopWatch {
    /// Whether accepting has stopped; if not, the task is woken when it does.
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> bool {
        if self.stopped.is_reached() {
            return true;
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        self.waker = Some(cx.waker().clone());
        self.reached.as_mut().poll(cx).is_ready()
    }
}

impl Stage {
    fn reach(&self) {
        // Before the token: a woken task checks the flag.
        self.is_reached.store(true, Ordering::Release);
        self.token.cancel();
    }

    fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_later_stage_implies_the_earlier_ones() {
        let shutdown = Shutdown::default();

        shutdown.begin_cut();

        assert!(shutdown.is_draining());
        assert!(shutdown.stopped_accepting().now_or_never().is_some());
        assert!(shutdown.cut().now_or_never().is_some());
    }

    #[test]
    fn draining_does_not_stop_accepting() {
        let shutdown = Shutdown::default();

        shutdown.begin_drain();

        assert!(shutdown.draining().now_or_never().is_some());
        assert!(shutdown.stopped_accepting().now_or_never().is_none());
    }

    #[test]
    fn a_listener_that_serves_until_the_cut_sees_no_earlier_stage() {
        let shutdown = Shutdown::default();
        let last = shutdown.until_cut();

        shutdown.begin_stop();

        assert!(!last.is_draining());
        assert!(last.stopped_accepting().now_or_never().is_none());
        shutdown.begin_cut();
        assert!(last.stopped_accepting().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn accepting_stops_only_after_the_delay() {
        let shutdown = Shutdown::default();
        let mut drain = Box::pin(shutdown.drain(Duration::from_secs(5)));

        let early = tokio::time::timeout(Duration::from_millis(4_999), &mut drain).await;

        assert!(early.is_err() && shutdown.is_draining());
        assert!(shutdown.stopped_accepting().now_or_never().is_none());
        drain.await;
        assert!(shutdown.stopped_accepting().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_watch_wakes_its_task() {
        let shutdown = Shutdown::default();
        let mut watch = shutdown.watch_stop();
        let watching =
            tokio::spawn(poll_fn(
                move |cx| {
                    if watch.poll_stopped(cx) { Poll::Ready(()) } else { Poll::Pending }
                },
            ));
        tokio::task::yield_now().await;

        shutdown.begin_stop();

        watching.await.unwrap();
    }
}
