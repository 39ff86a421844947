//! One attempt at a provider, from admission to measurement.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::failure::{FailedRead, LastFailure, classify};
use super::limits::Gate;
use super::network::Response;
use super::provider::UpstreamProvider;
use super::read_context::ReadContext;
use crate::domain::{AttemptSignal, Moment, StoreTime, UpstreamError};
use crate::metrics::{Label, Operation, ReadRefusal};
use crate::trace::{self, Attempt};

/// Retry hint when the process is out of file descriptors: some may be closed by then.
const SHORTAGE_PAUSE: Duration = Duration::from_secs(1);

/// One call, with the limits that apply to it.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) request: http::Request<Vec<u8>>,
    pub(super) gate: &'a Gate,
    pub(super) context: &'a ReadContext,
}

/// When an attempt was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentAt {
    /// By this process's clocks.
    pub(super) moment: Moment,
    /// By the store's clock, if the store granted the call: it was sent at or after this instant.
    pub(super) store_time: Option<StoreTime>,
}

impl UpstreamProvider {
    /// Makes one attempt. `understand` parses the answer; its error is the attempt's error.
    pub(super) async fn attempt<T>(
        &self,
        call: Call<'_>,
        understand: impl FnOnce(Response, SentAt) -> Result<T, UpstreamError>,
    ) -> Result<T, FailedRead> {
        let now = self.now();
        let admitted = self.breaker.admit(now.monotonic, &call.context.store_wait).await;
        let admission = admitted.map_err(|wait| {
            self.metrics.refused(ReadRefusal::Breaker);
            FailedRead::unsent(UpstreamError::Suspended, wait)
        })?;
        let permit = call.gate.permit(call.context, self.settings.attempt_timeout).await.map_err(|wait| {
            self.metrics.refused(ReadRefusal::Budget);
            FailedRead::unsent(UpstreamError::BudgetExhausted, wait)
        })?;
        let in_flight = InFlight::enter(&self.in_flight);
        let requested_at = self.now();
        let left = call.context.deadline.saturating_duration_since(requested_at.monotonic);
        let timeout = left.min(self.settings.attempt_timeout);
        let result = self.transport.send(call.operation, call.request, timeout).await;
        let result = result.and_then(|answer| {
            understand(answer, SentAt { moment: requested_at, store_time: permit.instant() })
        });
        drop((permit, in_flight));
        if let Err(error @ UpstreamError::OutOfFiles) = result {
            // No call was made, so breakers, metrics and logs record nothing about the provider.
            return Err(FailedRead::unsent(error, SHORTAGE_PAUSE));
        }
        call.context.was_called.store(true, Ordering::Relaxed);

        let ended = self.now();
        let failed = result.as_ref().err().copied();
        let took = ended.monotonic.saturating_duration_since(requested_at.monotonic);
        self.metrics.attempted(call.operation, took, failed.and_then(UpstreamError::kind));
        let operation = call.operation.as_str();
        trace::note_attempt(Attempt { operation, sent_at: requested_at.wall, took, failed });
        let signal = match (failed, call.operation) {
            (None, Operation::Balance) => AttemptSignal::Balance,
            (None, Operation::Token) => AttemptSignal::Answered,
            (Some(error), _) => classify::signal(error, timeout * 2 >= self.settings.attempt_timeout),
        };
        admission.record(failed, signal, ended.monotonic);
        self.note(call.operation, failed, ended);
        result.map_err(|error| FailedRead::after_attempt(error, call.operation, requested_at.monotonic))
    }

    fn note(&self, operation: Operation, failed: Option<UpstreamError>, now: Moment) {
        match failed {
            None if operation == Operation::Balance => self.failures.worked(self.name()),
            None => {}
            Some(error) => self.failures.failed(self.name(), operation, error, now.monotonic),
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            None if operation == Operation::Balance => last.success = Some(now.wall),
            None => {}
            Some(error) => {
                let failure = |kind| LastFailure { at: now.wall, operation, kind, error };
                last.failure = error.kind().map(failure).or(last.failure);
            }
        }
    }
}

/// Counts a call as in flight until this is dropped.
struct InFlight<'a>(&'a AtomicU64);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
