//! The reads that run, who begins them, and who waits for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Tracer;
use super::context::SpanContext;
use super::read::ReadTrace;
use super::request::{self, Recording};
use crate::domain::{Answer, BalanceKey, Moment};

/// Who begins a read, as far as sampling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A request.
    Request {
        /// Whether it is sampled.
        is_sampled: bool,
    },
    /// Nobody: it is sampled by itself.
    Gateway,
}

/// The reads that run, for whoever waits for one.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    tracer: Option<Tracer>,
    running: Arc<Mutex<HashMap<BalanceKey, ReadTrace>>>,
}

/// The request that is being answered waits for a read. Dropped before the end, it has given up.
#[derive(Debug)]
pub struct Waiting<'a> {
    reads: &'a Reads,
    key: BalanceKey,
    /// Who waits, if it is sampled; nobody when it is over.
    request: Option<Arc<Recording>>,
}

impl Origin {
    /// Whatever is running now.
    #[must_use]
    pub fn current() -> Self {
        request::is_current_sampled().map_or(Self::Gateway, |is_sampled| Self::Request { is_sampled })
    }
}

impl Reads {
    /// Traces reads from now on, or no longer; those that run end as they began.
    #[must_use]
    pub fn traced(&self, tracer: Option<Tracer>) -> Self {
        Self { tracer, running: Arc::clone(&self.running) }
    }

    /// Begins the span of a read; `None` when nothing is traced.
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

    /// The request that is being answered waits for a read of this balance, if it is sampled.
    #[must_use]
    pub fn wait(&self, key: BalanceKey) -> Waiting<'_> {
        Waiting { reads: self, key, request: request::current() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<BalanceKey, ReadTrace>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// The wait is over: this read has ended.
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

fn link(request: &Recording, read: &ReadTrace) {
    request.link(read.context());
    read.want();
}
