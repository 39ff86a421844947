//! The layer between measuring and the handlers: the whole-request deadline, then the caller, its limit, its
//! permission, and the body that nobody needs, in the contract's order of refusals.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::poll;
use http::header::HeaderName;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use tower::service_fn;

use super::arrival::Arrival;
use super::caller::Caller;
use super::listener::Peer;
use super::observe::Logged;
use super::problem::{Code, Problem};
use super::{Answer, Api, OpenAccount, route};
use crate::metrics::AuthFailure;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// No endpoint takes a body; this much is read and ignored.
const MOST_BODY: usize = 4 * 1024;

/// The layer: ends a request that takes longer than `request_timeout`, and lets in the others. A handler's own,
/// earlier deadlines are its matter.
pub(super) fn admit<S: Answer>(api: Arc<Api>, inner: S) -> impl Answer {
    service_fn(move |request: Request| {
        let (api, inner) = (Arc::clone(&api), inner.clone());
        async move {
            let arrived = match Arrival::of(&request) {
                Ok(arrival) => arrival.moment.monotonic,
                Err(problem) => return Ok(problem.into_response()),
            };
            let mut answer = pin!(let_in(&api, inner, request, arrived));
            // A cached hit is ready at once and needs no timer, nor room for one.
            let answer = match poll!(answer.as_mut()) {
                Poll::Ready(answer) => Ok(answer),
                Poll::Pending => {
                    Box::pin(tokio::time::timeout_at((arrived + api.request_timeout).into(), answer)).await
                }
            };
            let response = answer.unwrap_or_else(|_| {
                Problem::new(Code::DeadlineExceeded, "the request took longer than it may").into_response()
            });
            Ok(response)
        }
    })
}

/// Lets in whoever has a known key, and takes the unit of its limit that every request costs.
async fn let_in(api: &Api, mut inner: impl Answer, mut request: Request, arrived: Instant) -> Response {
    if !route::needs_caller(request.uri().path()) {
        let Ok(response) = inner.call(request).await;
        return response;
    }
    let caller = match api.callers.identify(request.headers()) {
        Ok(caller) => caller,
        Err(reason) => return unauthenticated(api, &request, reason, arrived).into_response(),
    };
    let mut response = match caller.charge_request() {
        Err(retry_after) => Problem::new(Code::RateLimited, "the caller's limit is spent")
            .retry_after(retry_after)
            .into_response(),
        Ok(()) => match permit(api, caller, &mut request, arrived).await {
            Err(problem) => problem.into_response(),
            Ok(account) => {
                Arrival::admit(&mut request, caller, account);
                let Ok(response) = inner.call(request).await;
                response
            }
        },
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

fn unauthenticated(api: &Api, request: &Request, reason: AuthFailure, now: Instant) -> Problem {
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
async fn permit(
    api: &Api,
    caller: &Caller,
    request: &mut Request,
    now: Instant,
) -> Result<Option<Arc<OpenAccount>>, Problem> {
    let account = match route::account_path(request.uri().path()) {
        Some((encoded, _)) if !encoded.is_empty() => {
            let name = percent_decode_str(encoded).decode_utf8_lossy();
            let Some(account) = api.visible_account(caller, &name) else {
                api.denied.write(Some(caller.name().as_str()), Some(&name), "account_not_found", now);
                return Err(Problem::account_not_found(&name));
            };
            Some(Arc::clone(account))
        }
        _ => None,
    };
    if !request.body().is_end_stream() {
        // Boxed, since it would make the future of every request larger, and nearly none has a body.
        Box::pin(ignore_body(std::mem::take(request.body_mut()))).await?;
    }
    Ok(account)
}

/// Reads a small body, since a client may expect that.
async fn ignore_body(body: Body) -> Result<(), Problem> {
    let read = Limited::new(body, MOST_BODY).collect().await;
    read.map(drop).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(Code::ContentTooLarge, "no endpoint takes a body")
        } else {
            Problem::new(Code::InvalidRequest, "the body cannot be read")
        }
    })
}
