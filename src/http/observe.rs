//! The outermost layer: gives each request an id, turns a panic into a problem, measures the request, writes the body
//! of a problem, and logs one line per request.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use axum::Router;
use axum::extract::Request;
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use prometheus::IntGauge;

use super::admission;
use super::answer::{self, Reply, Response, whole};
use super::logged::Logged;
use super::problem::{Code, Problem};
use super::request_info::RequestInfo;
use super::route::{self, Route};
use super::state::Api;
use super::{directives, header};
use crate::clock;
use crate::domain::{AccountName, CallerName};
use crate::live::Live;
use crate::server::Peer;
use crate::telemetry::targets;
use crate::trace::{RequestEnd, RequestStart, RequestTrace, Tracer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The longest accepted request id of a caller.
const LONGEST_ID: usize = 64;

/// Runs the layer for one request.
pub(super) async fn observe(live: &Live<Api>, router: &Router, peer: Peer, request: &mut Request) -> Reply {
    let api = &live.current();
    let mut info = RequestInfo {
        moment: api.gateway.now(),
        route: Route::of(request.uri().path()),
        peer,
        request_id: request_id(request.headers()),
        wait: directives::prefer_wait(request.headers()),
        admitted: None,
    };
    let trace = api.tracer.as_ref().and_then(|tracer| traced(tracer, request, &info));
    let is_head = request.method() == http::Method::HEAD;
    let in_flight = InFlight::enter(&api.long_lived.metrics.http_in_flight);
    let Reply { mut response, delivery, made_at } = {
        // A panic must neither break the connection nor show its details. The panic hook has logged it.
        let answering = pin!(admission::admit(live, api, router, &mut info, request));
        let answer = AssertUnwindSafe(answering).catch_unwind();
        let answer = match &trace {
            Some(trace) => trace.during(answer).await,
            None => answer.await,
        };
        answer.unwrap_or_else(problem_of_panic)
    };
    drop(in_flight);

    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        write_body(&mut response, problem, &info.request_id, is_head);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, info.request_id);
    if let Some(wait) = info.wait {
        headers.insert(PREFERENCE_APPLIED, header::value(format!("wait={wait}")));
    }
    let made_at = made_at.unwrap_or_else(clock::monotonic);
    let took = made_at.saturating_duration_since(info.moment.monotonic);
    api.long_lived.routes[info.route as usize].answered(response.status().as_u16(), took.as_secs_f64());
    if api.log_requests {
        log(&response, info.route, took);
    }
    if let Some(trace) = trace {
        trace.end(&answered(&response, problem.as_ref()), took);
    }
    Reply { response, delivery, made_at: Some(made_at) }
}

fn write_body(response: &mut Response, problem: &Problem, request_id: &HeaderValue, is_head: bool) {
    // Texts and numbers serialise without failing.
    let body = serde_json::to_vec(&problem.body(request_id.to_str().unwrap_or_default())).unwrap_or_default();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = whole(if is_head { Vec::new() } else { body });
}

fn problem_of_panic(_: Box<dyn std::any::Any + Send>) -> Reply {
    answer::from_router(Problem::new(Code::Internal, "a defect; see the gateway's log"))
}

/// The caller's id if it is 1 to 64 of `[A-Za-z0-9._-]`, else 128 random bits.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let is_legal =
        |id: &&HeaderValue| (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(legal);
    match headers.get(REQUEST_ID).filter(is_legal) {
        Some(id) => id.clone(),
        None => random_id(),
    }
}

fn random_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = fastrand::u128(..).to_le_bytes();
    let digits = |byte: u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    header::written(|text| text.extend_from_slice(bits.map(digits).as_flattened()))
}

fn log(response: &Response, route: Route, took: std::time::Duration) {
    let logged = response.extensions().get::<Logged>().cloned().unwrap_or_default();
    tracing::info!(
        target: targets::REQUESTS,
        event = "request",
        route = route.pattern(),
        status = response.status().as_u16(),
        caller = logged.caller.as_ref().map(CallerName::as_str),
        account = logged.account.as_ref().map(AccountName::as_str),
        outcome = logged.outcome,
        age_seconds = logged.age_seconds,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        request_id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()),
        "request"
    );
}

/// Begins the span of a request; pages have none.
fn traced(tracer: &Tracer, request: &Request, info: &RequestInfo) -> Option<RequestTrace> {
    if !route::needs_caller(request.uri().path()) {
        return None;
    }
    let RequestInfo { moment, request_id, route, .. } = info;
    let asked = RequestStart {
        at: *moment,
        method: request.method().clone(),
        route: (*route != Route::Unmatched).then(|| route.pattern()),
        request_id: request_id.clone(),
    };
    Some(tracer.request(request.headers(), asked))
}

/// The attributes of a request's span for its answer.
fn answered<'a>(response: &'a Response, problem: Option<&Problem>) -> RequestEnd<'a> {
    let logged = response.extensions().get::<Logged>();
    RequestEnd {
        status: response.status(),
        problem: problem.map(|problem| problem.code.as_str()),
        caller: logged.and_then(|it| it.caller.as_ref()).map(CallerName::as_str),
        account: logged.and_then(|it| it.account.as_ref()).map(AccountName::as_str),
        outcome: logged.and_then(|it| it.outcome),
    }
}

/// Counts a request until it ends in any way.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_request_id_is_kept() {
        let id_of = |id: &'static str| {
            request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))]))
        };
        let longest = "x".repeat(64).leak();
        let too_long = "x".repeat(65).leak();

        for id in ["a", "A-1._z", longest] {
            assert_eq!(id_of(id), id);
        }
        for id in ["", "a b", "a\"", "a/b", too_long] {
            assert_eq!(id_of(id).len(), 32, "{id:?}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
