//! One request: its span, and links to the reads it waited for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::context::{Parent, SpanContext};
use super::tracer::Tracer;
use super::wire::{self, KeyValue, SpanKind};
use crate::domain::Moment;

/// The default bound of OpenTelemetry; further links are counted only.
const MOST_LINKS: usize = 128;

tokio::task_local! {
    /// The request that this task answers; `None` if it is not sampled.
    static CURRENT: Option<Arc<RequestRecording>>;
}

/// The trace of one request, sampled or not. Dropping it before [`RequestTrace::end`] means that the request was
/// abandoned: its caller hung up or was cut off.
#[derive(Debug)]
pub struct RequestTrace(Option<Arc<RequestRecording>>);

#[derive(Debug)]
pub(super) struct RequestRecording {
    tracer: Tracer,
    context: SpanContext,
    parent: Option<Parent>,
    start: RequestStart,
    /// The reads it waited for, each once.
    links: Mutex<Vec<SpanContext>>,
}

/// A request as it arrived; these attributes are in the span of every request.
#[derive(Debug)]
pub struct RequestStart {
    /// When it arrived.
    pub at: Moment,
    /// The method as received.
    pub method: Method,
    /// The route's pattern; `None` if no route matched.
    pub route: Option<&'static str>,
    /// The id that the answer will carry.
    pub request_id: HeaderValue,
}

/// A request as it was answered; these attributes are in the span of an answered request.
#[derive(Debug)]
pub struct RequestEnd<'a> {
    /// The answer's status.
    pub status: StatusCode,
    /// The code of the problem, if it is one.
    pub problem: Option<&'static str>,
    /// The caller, if known.
    pub caller: Option<&'a str>,
    /// The requested account, if the caller may read it.
    pub account: Option<&'a str>,
    /// The cache outcome, for a single balance.
    pub outcome: Option<&'static str>,
}

impl Tracer {
    /// Begins the span of a request with these headers. A parent's sampling decision overrides ours.
    #[must_use]
    pub fn request(&self, headers: &HeaderMap, start: RequestStart) -> RequestTrace {
        let parent = Parent::of(headers);
        let (context, is_sampled) = if let Some(parent) = &parent {
            (SpanContext::within(parent.context.trace_id), parent.is_sampled)
        } else {
            let root = SpanContext::root();
            (root, self.0.settings.sample.takes(root.trace_id))
        };
        RequestTrace(is_sampled.then(|| {
            let links = Mutex::default();
            Arc::new(RequestRecording { tracer: self.clone(), context, parent, start, links })
        }))
    }
}

impl RequestTrace {
    /// Runs the handler of the request; reads it waits for are linked.
    pub async fn during<T>(&self, answering: impl Future<Output = T>) -> T {
        CURRENT.scope(self.0.clone(), answering).await
    }

    /// Ends the span.
    pub fn end(mut self, answer: &RequestEnd<'_>, took: Duration) {
        if let Some(recording) = self.0.take() {
            let attributes = [
                Some(wire::number("http.response.status_code", answer.status.as_u16())),
                wire::text("balance_gateway.caller", answer.caller),
                wire::text("balance_gateway.account", answer.account),
                wire::text("balance_gateway.outcome", answer.outcome),
                wire::text("error.type", answer.problem),
            ];
            recording.send(attributes, answer.status.is_server_error(), took);
        }
    }
}

impl Drop for RequestTrace {
    fn drop(&mut self) {
        if let Some(recording) = &self.0 {
            let now = (recording.tracer.0.clock)();
            let took = now.monotonic.saturating_duration_since(recording.start.at.monotonic);
            recording.send([wire::text("error.type", "abandoned")], true, took);
        }
    }
}

impl RequestRecording {
    fn send(&self, further: impl IntoIterator<Item = Option<KeyValue>>, is_error: bool, took: Duration) {
        let RequestStart { at, method, route, request_id } = &self.start;
        let method = known(method);
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let ended = at.wall.saturating_add(took).unwrap_or(at.wall);
        let mut span = wire::span(self.context, name, SpanKind::Server, at.wall, ended);
        if let Some(parent) = &self.parent {
            span = wire::child_of_caller(parent.context, parent.state.clone(), span);
        }
        let attributes = [
            wire::text("http.request.method", method),
            wire::text("http.route", *route),
            wire::text("balance_gateway.request_id", request_id.to_str().ok()),
        ];
        span.attributes = attributes.into_iter().chain(further).flatten().collect();
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        span.links = links.iter().take(MOST_LINKS).copied().map(wire::link).collect();
        span.dropped_links_count = u32::try_from(links.len() - span.links.len()).unwrap_or(u32::MAX);
        span.status = is_error.then(wire::error);
        self.tracer.0.exporter.send(span);
    }

    /// Notes a read that the request waited for.
    pub(super) fn link(&self, read: SpanContext) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if !links.contains(&read) {
            links.push(read);
        }
    }
}

/// Whether the current request is sampled.
#[must_use]
pub fn is_current_recorded() -> bool {
    is_current_sampled() == Some(true)
}

/// Whether the current request is sampled; `None` outside a request.
pub(super) fn is_current_sampled() -> Option<bool> {
    CURRENT.try_with(Option::is_some).ok()
}

/// The current request, if there is one and it is sampled.
pub(super) fn current() -> Option<Arc<RequestRecording>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// A standard method, else `_OTHER`: callers can invent methods, and span names must be few.
fn known(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if known.contains(method) { method.as_str() } else { "_OTHER" }
}
