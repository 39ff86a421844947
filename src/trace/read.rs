//! One read: its span, the spans of its attempts, and whether they are exported.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::context::SpanContext;
use super::tracer::Tracer;
use super::wire::{self, Span, SpanKind};
use crate::domain::{
    AccountName, BalanceType, Currency, ErrorKind, Moment, ProviderName, Selector, UpstreamError,
};

tokio::task_local! {
    /// The read that this task performs.
    static CURRENT: ReadTrace;
}

/// The trace of one read. Clones refer to the same read.
#[derive(Clone, Debug)]
pub struct ReadTrace(Arc<ReadRecording>);

#[derive(Debug)]
struct ReadRecording {
    tracer: Tracer,
    context: SpanContext,
    started: Moment,
    state: Mutex<State>,
}

/// The recorded state of a read. It is exported once, when the read has ended and a sampled request needs it.
#[derive(Debug, Default)]
struct State {
    /// Provider, account, currency and type.
    balance: Option<(ProviderName, AccountName, Selector)>,
    attempts: Vec<Attempt>,
    /// Whether a sampled request started it or waits for it, or its own sample chose it.
    is_wanted: bool,
    ended: Option<(Timestamp, Option<UpstreamError>)>,
    is_sent: bool,
}

/// One attempt of a read.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The operation's label.
    pub operation: &'static str,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Time until its answer was parsed, or it failed.
    pub took: Duration,
    /// Why it failed.
    pub failed: Option<UpstreamError>,
}

/// Records the balance that the current read is for.
pub fn note_read(provider: &ProviderName, account: &AccountName, selector: &Selector) {
    let note = |read: &ReadTrace| {
        read.state().balance = Some((provider.clone(), account.clone(), selector.clone()));
    };
    // Fails for reads that are not traced.
    let _ = CURRENT.try_with(note);
}

/// Adds an attempt to the current read. A call outside a read is not traced.
pub fn note_attempt(attempt: Attempt) {
    let _ = CURRENT.try_with(|read| read.state().attempts.push(attempt));
}

impl ReadTrace {
    /// Begins the span; with `is_wanted` it is exported in any case.
    pub(super) fn begin(tracer: Tracer, context: SpanContext, is_wanted: bool, started: Moment) -> Self {
        let state = Mutex::new(State { is_wanted, ..State::default() });
        Self(Arc::new(ReadRecording { tracer, context, started, state }))
    }

    /// Its ids.
    pub(super) fn context(&self) -> SpanContext {
        self.0.context
    }

    /// Runs the read as the current one of its task.
    pub async fn during<T>(&self, reading: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), reading).await
    }

    /// Ends the span.
    pub(super) fn end(&self, failed: Option<UpstreamError>, now: Moment) {
        let took = now.monotonic.saturating_duration_since(self.0.started.monotonic);
        let mut state = self.state();
        state.ended = Some((after(self.0.started.wall, took), failed));
        self.send_if_due(&mut state);
    }

    /// Requests its export, now or when it ends.
    pub(super) fn want(&self) {
        let mut state = self.state();
        state.is_wanted = true;
        self.send_if_due(&mut state);
    }

    fn send_if_due(&self, state: &mut State) {
        let Some((ended, failed)) = state.ended.filter(|_| state.is_wanted && !state.is_sent) else { return };
        state.is_sent = true;
        let exporter = &self.0.tracer.0.exporter;
        exporter.send(self.span(state, ended, failed));
        for attempt in std::mem::take(&mut state.attempts) {
            exporter.send(self.attempt_span(state, attempt));
        }
    }

    fn span(&self, state: &State, ended: Timestamp, failed: Option<UpstreamError>) -> Span {
        let balance = state.balance.as_ref();
        let attributes = [
            wire::text("balance_gateway.provider", balance.map(|(provider, ..)| provider.as_str())),
            wire::text("balance_gateway.account", balance.map(|(_, account, _)| account.as_str())),
            wire::text(
                "balance_gateway.currency",
                balance.and_then(|(.., selector)| selector.currency.as_ref().map(Currency::as_str)),
            ),
            wire::text(
                "balance_gateway.type",
                balance.and_then(|(.., selector)| selector.r#type.as_ref().map(BalanceType::as_str)),
            ),
            wire::text("error.type", failed.map(kind)),
        ];
        Span {
            attributes: attributes.into_iter().flatten().collect(),
            status: failed.map(|_| wire::error()),
            ..wire::span(self.0.context, "read".to_owned(), SpanKind::Internal, self.0.started.wall, ended)
        }
    }

    fn attempt_span(&self, state: &State, attempt: Attempt) -> Span {
        let Attempt { operation, sent_at, took, failed } = attempt;
        let context = SpanContext::within(self.0.context.trace_id);
        let attributes = [
            wire::text(
                "balance_gateway.provider",
                state.balance.as_ref().map(|(provider, ..)| provider.as_str()),
            ),
            wire::text("balance_gateway.operation", operation),
            wire::text("error.type", failed.map(kind)),
        ];
        let name = format!("attempt {operation}");
        let span = wire::span(context, name, SpanKind::Client, sent_at, after(sent_at, took));
        Span {
            attributes: attributes.into_iter().flatten().collect(),
            status: failed.map(|_| wire::error()),
            ..wire::child_of(self.0.context, span)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn after(start: Timestamp, took: Duration) -> Timestamp {
    start.saturating_add(took).unwrap_or(start)
}

/// The metrics label of a failed attempt, or of the reason for making no call.
fn kind(error: UpstreamError) -> &'static str {
    match error {
        UpstreamError::Busy => "concurrency",
        UpstreamError::Suspended => "breaker",
        UpstreamError::BudgetExhausted => "budget",
        UpstreamError::OutOfFiles => "overloaded",
        _ => error.kind().map_or("defect", ErrorKind::as_str),
    }
}
