//! The layer between measuring and the handlers: the whole-request deadline, then the caller, its limit, its
//! permission, and the body that nobody needs, in the contract's order of refusals.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::poll;
use http::HeaderMap;
use http::header::HeaderName;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use tower::service_fn;

use super::arrival::Arrival;
use super::caller::Caller;
use super::logged::Logged;
use super::problem::{Code, Problem};
use super::route;
use super::state::{Answering, Api, OpenAccount};
use crate::domain::Moment;
use crate::live::Live;
use crate::metrics::AuthFailure;
use crate::server::Peer;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// No endpoint takes a body; this much is read and ignored.
const MOST_BODY: usize = 4 * 1024;
/// For a handler to write what it has when the request's time is over.
const HANDLER_MARGIN: Duration = Duration::from_millis(100);

/// The layer: lets in whoever has a known key, takes the unit of its limit that every request costs, and ends what
/// takes longer than it may. A handler's own, earlier deadlines are its matter.
pub(super) fn admit<S: Answering>(live: Live<Api>, inner: S) -> impl Answering {
    service_fn(move |request: Request| {
        let (api, inner) = (live.current(), inner.clone());
        async move { Ok(admitted(&api, inner, request).await.unwrap_or_else(Problem::into_response)) }
    })
}

async fn admitted(api: &Api, inner: impl Answering, request: Request) -> Result<Response, Problem> {
    let moment = Arrival::of(&request)?.moment;
    let now = moment.monotonic;
    if !route::needs_caller(request.uri().path()) {
        return in_time(api, now, let_anybody_in(inner, request)).await;
    }
    let caller = match identify(api, request.headers(), moment).await {
        Ok(caller) => caller,
        Err(reason) => return Err(unauthenticated(api, &request, reason, now)),
    };
    let answer = match caller.charge_request(now) {
        Ok(()) => in_time(api, now, let_in(api, caller, inner, request, now)).await,
        Err(retry_after) => {
            Err(Problem::new(Code::RateLimited, "the caller's limit is spent").retry_after(retry_after))
        }
    };
    let mut response = answer.unwrap_or_else(Problem::into_response);
    let headers = response.headers_mut();
    headers.insert(RATE_LIMIT_POLICY, caller.policy());
    headers.insert(RATE_LIMIT, caller.state(now));
    if api.is_noted() {
        response.extensions_mut().get_or_insert_default::<Logged>().caller = Some(caller.name().clone());
    }
    Ok(response)
}

/// Finds the caller; a token's key that is not known may be known in a moment.
async fn identify<'a>(
    api: &'a Api,
    headers: &HeaderMap,
    arrived: Moment,
) -> Result<&'a Arc<Caller>, AuthFailure> {
    let identified = api.callers.identify(headers, &api.lasting.service_accounts, arrived.wall);
    if !matches!(identified, Err(AuthFailure::UnknownKey)) {
        return identified;
    }
    let deadline = arrived.monotonic + api.request_timeout;
    // Without the keys by then, it is refused as it is now.
    let _ =
        Box::pin(tokio::time::timeout_at(deadline.into(), api.lasting.service_accounts.fetch_again())).await;
    api.callers.identify(headers, &api.lasting.service_accounts, arrived.wall)
}

/// Waits for an answer as long as a whole request may take, and a little longer: a handler that waits until then
/// may still have something to serve.
async fn in_time(
    api: &Api,
    arrived: Instant,
    answer: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let mut answer = pin!(answer);
    // A cached hit is ready at once and needs no timer, nor room for one.
    if let Poll::Ready(answer) = poll!(answer.as_mut()) {
        return answer;
    }
    let deadline = arrived + api.request_timeout + HANDLER_MARGIN;
    let late = || Problem::new(Code::DeadlineExceeded, "the request took longer than it may");
    Box::pin(tokio::time::timeout_at(deadline.into(), answer)).await.unwrap_or_else(|_| Err(late()))
}

async fn let_anybody_in(mut inner: impl Answering, mut request: Request) -> Result<Response, Problem> {
    ignore_body(&mut request).await?;
    let Ok(response) = inner.call(request).await;
    Ok(response)
}

async fn let_in(
    api: &Api,
    caller: &Arc<Caller>,
    mut inner: impl Answering,
    mut request: Request,
    now: Instant,
) -> Result<Response, Problem> {
    let account = permit(api, caller, &mut request, now).await?;
    let name = account.as_ref().filter(|_| api.is_noted()).map(|open| open.account.name().clone());
    Arrival::admit(&mut request, caller, account);
    let Ok(mut response) = inner.call(request).await;
    if name.is_some() {
        response.extensions_mut().get_or_insert_default::<Logged>().account = name;
    }
    Ok(response)
}

fn unauthenticated(api: &Api, request: &Request, reason: AuthFailure, now: Instant) -> Problem {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let throttled = peer.and_then(|peer| api.lasting.auth_throttle.note_failure(peer, now).err());
    let reason = if throttled.is_some() { AuthFailure::Throttled } else { reason };
    api.lasting.metrics.auth_failed(reason);
    api.lasting.denied.write(None, None, crate::metrics::Label::as_str(reason), now);
    match throttled {
        Some(retry_after) => {
            Problem::new(Code::RateLimited, "too many requests without a known key").retry_after(retry_after)
        }
        None => {
            Problem::new(Code::Unauthenticated, "send Authorization: Bearer with a caller's key or token")
        }
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
        Some((encoded, _)) => {
            let name = percent_decode_str(encoded).decode_utf8_lossy();
            let Some(account) = api.visible_account(caller, &name) else {
                api.lasting.denied.write(Some(caller.name().as_str()), Some(&name), "account_not_found", now);
                return Err(Problem::account_not_found(&name));
            };
            Some(Arc::clone(account))
        }
        None => None,
    };
    ignore_body(request).await?;
    Ok(account)
}

/// Reads a small body, since a client may expect that.
async fn ignore_body(request: &mut Request) -> Result<(), Problem> {
    if request.body().is_end_stream() {
        return Ok(());
    }
    let body = std::mem::take(request.body_mut());
    // Boxed, since it would make the future of every request larger, and nearly none has a body.
    let read = Box::pin(Limited::new(body, MOST_BODY).collect()).await;
    read.map(drop).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(Code::ContentTooLarge, "no endpoint takes a body")
        } else {
            Problem::new(Code::InvalidRequest, "the body cannot be read")
        }
    })
}
