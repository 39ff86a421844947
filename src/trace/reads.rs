//! Running reads, how they started, and the requests that wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::context::SpanContext;
use super::read::ReadTrace;
use super::request::{self, RequestRecording};
use super::tracer::Tracer;
use crate::domain::{Answer, BalanceKey, Moment};

/// The origin of a read, which decides whether it is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A request of a caller.
    Request {
        /// Whether the request is sampled.
        is_sampled: bool,
    },
    /// The gateway itself, for a watch or a refresh: the read has its own sampling decision.
    Gateway,
}

/// The running reads, by balance.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    tracer: Option<Tracer>,
    running: Arc<Mutex<HashMap<BalanceKey, ReadTrace>>>,
}

/// A request that waits for a read. Dropping it before [`Waiting::end`] means that the request stopped waiting.
#[derive(Debug)]
pub struct Waiting<'a> {
    reads: &'a Reads,
    key: BalanceKey,
    /// The waiting request, if it is sampled; `None` once the wait is over.
    request: Option<Arc<RequestRecording>>,
}

impl Origin {
    /// The origin of a read that the current task starts.
    #[must_use]
    pub fn current() -> Self {
        request::is_current_sampled().map_or(Self::Gateway, |is_sampled| Self::Request { is_sampled })
    }
}

impl Reads {
    /// Switches tracing on or off; running reads keep their tracer.
    #[must_use]
    pub fn traced(&self, tracer: Option<Tracer>) -> Self {
        Self { tracer, running: Arc::clone(&self.running) }
    }

    /// Begins the span of a read; `None` when tracing is off.
    #[must_use]
    pub fn begin(&self, key: BalanceKey, origin: Origin, now: Moment) -> Option<ReadTrace> {
        let tracer = self.tracer.clone()?;
        let context = SpanContext::root();
        let is_wanted = match origin {
            Origin::Request { is_sampled } => is_sampled,
            Origin::Gateway => tracer.0.settings.sample.takes(context.trace_id),
        };
        let read = ReadTrace::begin(tracer, context, is_wanted, now);
        self.running().insert(key, read.clone());
        Some(read)
    }

    /// Ends the span of a read.
    pub fn end(&self, key: &BalanceKey, read: &ReadTrace, answer: &Answer, now: Moment) {
        self.running().remove(key);
        read.end(answer.result.as_ref().err().map(|failure| failure.error), now);
    }

    /// Notes that the current request, if it is sampled, waits for a read of this balance.
    #[must_use]
    pub fn wait(&self, key: BalanceKey) -> Waiting<'_> {
        Waiting { reads: self, key, request: request::current() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<BalanceKey, ReadTrace>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// Ends the wait: this read has ended.
    pub fn end(mut self, read: Option<&ReadTrace>) {
        if let (Some(request), Some(read)) = (self.request.take(), read) {
            link(&request, read);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(request) = &self.request
            && let Some(read) = self.reads.running().get(&self.key)
        {
            link(request, read);
        }
    }
}

fn link(request: &RequestRecording, read: &ReadTrace) {
    request.link(read.context());
    read.want();
}
