//! The threads that serve connections. Each has a runtime of its own, so a connection never moves between cores.
//!
//! A single acceptor gives each new connection to the thread with the fewest connections. So even a few long-lived
//! connections use every core.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The runtimes that serve connections.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

/// One thread with its runtime.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Ends the thread.
    _stop: DropGuard,
}

/// The slot of one connection at its worker. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts one thread for each core that this process may use. The threads end when the workers are dropped.
    ///
    /// # Errors
    /// When the system refuses a thread, or a file descriptor for its runtime.
    pub fn start() -> io::Result<Self> {
        Self::of(thread::available_parallelism().map_or(1, NonZero::get))
    }

    fn of(threads: usize) -> io::Result<Self> {
        (0..threads).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// Takes a slot at the worker with the fewest connections. Without worker threads, the connection runs on the
    /// listener's runtime.
    pub(super) fn take_slot(&self) -> ConnectionSlot {
        let open = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let (runtime, connections) = match self.0.iter().min_by_key(open) {
            Some(worker) => (worker.runtime.clone(), Arc::clone(&worker.connections)),
            None => (Handle::current(), Arc::default()),
        };
        connections.fetch_add(1, Ordering::Relaxed);
        ConnectionSlot { runtime, connections }
    }

    /// No threads: connections are served on the runtime of their listener.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        thread::Builder::new()
            .name(format!("connections-{number}"))
            .spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self { runtime: handle, connections: Arc::default(), _stop: stop.drop_guard() })
    }
}

impl ConnectionSlot {
    /// The worker's runtime.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_the_worker_with_the_fewest_connections() {
        let workers = Workers::of(2).unwrap();
        let is_same = |a: &ConnectionSlot, b: &ConnectionSlot| Arc::ptr_eq(&a.connections, &b.connections);

        let (first, second) = (workers.take_slot(), workers.take_slot());
        let third = workers.take_slot();

        assert!(!is_same(&first, &second));
        assert!(is_same(&first, &third));
        drop((first, third));
        assert!(!is_same(&workers.take_slot(), &second));
    }

    #[tokio::test]
    async fn a_task_runs_on_the_thread_of_its_worker() {
        let workers = Workers::of(2).unwrap();
        let mut names = Vec::new();

        let slots = [workers.take_slot(), workers.take_slot()];
        for slot in &slots {
            let name = slot.runtime().spawn(async { thread::current().name().map(str::to_owned) });
            names.push(name.await.unwrap());
        }

        assert_eq!(names, [Some("connections-0".to_owned()), Some("connections-1".to_owned())]);
    }
}
