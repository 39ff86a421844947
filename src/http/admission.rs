//! The layers between measuring and the handlers: the whole-request deadline, the caller, its limit, its
//! permission, and the body that nobody needs. Their order is in `http.rs`.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;

use super::caller::Caller;
use super::listener::Peer;
use super::observe::Logged;
use super::problem::{Code, Problem};
use super::{Api, Arrival, directives, rate_limit, route};
use crate::metrics::AuthFailure;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// No endpoint takes a body; this much is read and ignored.
const MOST_BODY: usize = 4 * 1024;

/// Ends a request that takes longer than `request_timeout`. A handler's own, earlier deadlines are its matter.
pub(super) async fn deadline(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let arrived = arrival(&request).moment.monotonic;
    let wait = directives::prefer_wait(request.headers());
    let answer = tokio::time::timeout_at((arrived + api.request_timeout).into(), next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| {
        Problem::new(Code::DeadlineExceeded, "the request took longer than it may").into_response()
    });
    if let Some(wait) = wait {
        response.headers_mut().insert(PREFERENCE_APPLIED, rate_limit::header(format!("wait={wait}")));
    }
    response
}

/// Lets in whoever has a known key, and takes the unit of its limit that every request costs.
pub(super) async fn caller(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    if !route::needs_caller(request.uri().path()) {
        return next.run(request).await;
    }
    let caller = match api.callers.identify(request.headers()) {
        Ok(caller) => Arc::clone(caller),
        Err(reason) => return unauthenticated(&api, &request, reason).into_response(),
    };
    let mut response = match caller.charge_request() {
        Ok(()) => {
            request.extensions_mut().insert(Arc::clone(&caller));
            next.run(request).await
        }
        Err(retry_after) => Problem::new(Code::RateLimited, "the caller's limit is spent")
            .retry_after(retry_after)
            .into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(RATE_LIMIT_POLICY, caller.policy());
    headers.insert(RATE_LIMIT, caller.state());
    if api.log_requests {
        let mut logged = response.extensions_mut().remove::<Logged>().unwrap_or_default();
        logged.caller = Some(caller.name().clone());
        response.extensions_mut().insert(logged);
    }
    response
}

fn unauthenticated(api: &Api, request: &Request, reason: AuthFailure) -> Problem {
    let now = arrival(request).moment.monotonic;
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let throttled = peer.and_then(|peer| api.auth_throttle.note_failure(peer, now).err());
    let reason = if throttled.is_some() { AuthFailure::Throttled } else { reason };
    api.metrics.auth_failed(reason);
    api.denied.write(None, None, crate::metrics::Label::as_str(reason), now);
    match throttled {
        Some(retry_after) => {
            Problem::new(Code::RateLimited, "too many requests without a known key").retry_after(retry_after)
        }
        None => Problem::new(Code::Unauthenticated, "send Authorization: Bearer with a caller key"),
    }
}

/// Answers for an account that the caller may not see as if there were none, before anything else is looked at;
/// then reads and ignores a small body.
pub(super) async fn permission(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let account = match route::account_path(request.uri().path()) {
        Some((encoded, _)) if !encoded.is_empty() => {
            let name = percent_decode_str(encoded).decode_utf8_lossy();
            let Some(caller) = request.extensions().get::<Arc<Caller>>() else {
                return Problem::new(Code::Internal, "a request without a caller").into_response();
            };
            let Some(account) = api.visible_account(caller, &name) else {
                let now = arrival(&request).moment.monotonic;
                api.denied.write(Some(caller.name().as_str()), Some(&name), "account_not_found", now);
                return Problem::account_not_found(&name).into_response();
            };
            Some(Arc::clone(account))
        }
        _ => None,
    };
    if !request.body().is_end_stream() {
        match Limited::new(std::mem::take(request.body_mut()), MOST_BODY).collect().await {
            Ok(_) => {}
            Err(error) if error.is::<LengthLimitError>() => {
                return Problem::new(Code::ContentTooLarge, "no endpoint takes a body").into_response();
            }
            Err(_) => return Problem::new(Code::InvalidRequest, "the body cannot be read").into_response(),
        }
        *request.body_mut() = Body::empty();
    }
    if let Some(account) = account {
        request.extensions_mut().insert(account);
    }
    next.run(request).await
}

/// What the observing layer put there; it stands outside of every other.
fn arrival(request: &Request) -> Arrival {
    let missing = || Arrival { moment: super::clock::now(), request_id: HeaderValue::from_static("") };
    request.extensions().get::<Arrival>().cloned().unwrap_or_else(missing)
}
