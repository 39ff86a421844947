//! Sends ended spans in batches, in the background. When the queue is full, spans are dropped and no caller waits.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::collector::{Collector, SendError};
use super::wire::Span;

/// The target of this file's log lines: a constant, so that moving the file changes none.
const LOG_TARGET: &str = "balance_gateway::trace::export";
/// Waiting spans; about 500 bytes each.
const QUEUE: usize = 2_048;
/// Most spans in one request.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// Shortest time between two log lines about lost spans.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The sending end of the queue. The exporting task ends when all senders are dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: mpsc::Sender<Item>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Span(Box<Span>),
    /// The sender waits until all earlier spans are sent or dropped.
    Flush(oneshot::Sender<()>),
}

/// Lost spans that were not logged yet, and the time of the last log line.
#[derive(Debug, Default)]
struct Losses {
    spans: u64,
    logged_at: Option<Instant>,
}

impl Exporter {
    pub(super) fn start(collector: Collector) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        tokio::spawn(run(waiting, collector, Arc::clone(&dropped)));
        Self { queue, dropped }
    }

    /// Queues a span, or drops it when the queue is full.
    pub(super) fn send(&self, span: Span) {
        if self.queue.try_send(Item::Span(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all queued spans are sent or dropped.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            // Fails only when the runtime stops: no wait is needed then.
            let _ = flushed.await;
        }
    }
}

async fn run(mut queue: mpsc::Receiver<Item>, collector: Collector, dropped: Arc<AtomicU64>) {
    let mut losses = Losses::default();
    while let Some(first) = queue.recv().await {
        let (spans, flush) = batch(first, &mut queue).await;
        let count = spans.len() as u64;
        let sent = if spans.is_empty() { Ok(0) } else { collector.send(spans).await };
        losses.spans += dropped.swap(0, Ordering::Relaxed) + sent.as_ref().map_or(count, |refused| *refused);
        losses.log(sent.as_ref().err(), flush.is_some());
        if let Some(flush) = flush {
            // The receiver may have been dropped.
            let _ = flush.send(());
        }
    }
}

/// Collects the next batch: until it is full, its first span has waited long enough, or a flush is requested.
async fn batch(first: Item, queue: &mut mpsc::Receiver<Item>) -> (Vec<Span>, Option<oneshot::Sender<()>>) {
    let deadline = Instant::now() + BATCH_DELAY;
    let (mut spans, mut next) = (Vec::new(), Some(first));
    loop {
        match next {
            Some(Item::Span(span)) => spans.push(*span),
            Some(Item::Flush(flush)) => return (spans, Some(flush)),
            None => return (spans, None),
        }
        if spans.len() == BATCH {
            return (spans, None);
        }
        next = timeout_at(deadline, queue.recv()).await.ok().flatten();
    }
}

impl Losses {
    /// Logs the spans lost since the last line, at most once per ten seconds, and at the end.
    fn log(&mut self, error: Option<&SendError>, is_last: bool) {
        if let Some(spans) = self.take_line(is_last, Instant::now()) {
            let error = error.map(|error| error as &dyn Error);
            tracing::warn!(
                target: LOG_TARGET,
                event = "spans_dropped",
                spans,
                error,
                "spans were dropped or rejected by the collector"
            );
        }
    }

    fn take_line(&mut self, is_last: bool, now: Instant) -> Option<u64> {
        let is_due = self.logged_at.is_none_or(|logged_at| now.duration_since(logged_at) >= LOG_INTERVAL);
        if self.spans == 0 || !(is_due || is_last) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_spans() {
        let exporter = Exporter::start(Collector::new("http://127.0.0.1:1").unwrap());

        // The exporting task does not run before the test awaits.
        for _ in 0..QUEUE + 3 {
            exporter.send(Span::default());
        }

        assert_eq!(exporter.dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn lost_spans_are_logged_once_per_ten_seconds_and_at_the_end() {
        let (mut losses, now) = (Losses::default(), Instant::now());

        assert_eq!(losses.take_line(true, now), None);
        losses.spans = 3;
        assert_eq!(losses.take_line(false, now), Some(3));
        losses.spans = 5;
        assert_eq!(losses.take_line(false, now + LOG_INTERVAL / 2), None);
        losses.spans += 7;
        assert_eq!(losses.take_line(false, now + LOG_INTERVAL), Some(12));
        losses.spans = 1;
        assert_eq!(losses.take_line(true, now + LOG_INTERVAL), Some(1));
    }
}
