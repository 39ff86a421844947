//! The layer between measurement and the handlers: request deadline, caller, limit, permission, and the unused body,
//! in the documented order of refusals.

use std::borrow::Cow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use futures_util::poll;
use http::HeaderMap;
use http::header::HeaderName;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;

use super::answer::{self, Response};
use super::api::cost;
use super::caller::Caller;
use super::dispatch;
use super::logged::Logged;
use super::problem::{Code, Problem};
use super::request_info::{Admitted, RequestInfo};
use super::route;
use super::state::{Api, OpenAccount};
use crate::domain::{Moment, RetryAfter};
use crate::live::Live;
use crate::metrics::AuthFailure;
use crate::server::Delivery;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// No endpoint uses a body; this many bytes are read and ignored.
const MOST_BODY: u64 = 4 * 1024;
const MOST_BODY_BYTES: usize = 4 * 1024;
/// Time for a handler to write its answer after the request's deadline.
const HANDLER_MARGIN: Duration = Duration::from_millis(100);

/// The layer: admits requests of known callers, takes the units that a request costs, and ends requests that exceed
/// the time-out. Handlers have their own, earlier deadlines.
pub(super) async fn admit(
    live: &Live<Api>,
    router: &Router,
    info: &RequestInfo,
    request: &mut Request,
) -> Response {
    admitted(live, router, info, request).await.unwrap_or_else(answer::from_router)
}

/// A known caller, and the configuration that knows it.
struct Known {
    api: Arc<Api>,
    caller: Arc<Caller>,
}

async fn admitted(
    live: &Live<Api>,
    router: &Router,
    info: &RequestInfo,
    request: &mut Request,
) -> Result<Response, Problem> {
    let now = info.moment.monotonic;
    if !route::needs_caller(request.uri().path()) {
        let answering = pin!(answer_anybody(router, request));
        return in_time(&live.current(), now, answering).await;
    }
    let mut known = match identify(live, request.headers(), info.moment).await {
        Ok(known) => known,
        Err(reason) => return Err(unauthenticated(&live.current(), info, reason)),
    };
    let answer = answer_caller(live, &mut known, router, info, request).await;
    let Known { api, caller } = known;
    let mut response = answer.unwrap_or_else(answer::from_router);
    response.extensions_mut().get_or_insert_default::<Delivery>().is_known = true;
    let headers = response.headers_mut();
    headers.insert(RATE_LIMIT_POLICY, caller.policy());
    headers.insert(RATE_LIMIT, caller.state(now));
    if api.is_noted() {
        response.extensions_mut().get_or_insert_default::<Logged>().caller = Some(caller.name().clone());
    }
    Ok(response)
}

impl Known {
    fn find(api: Arc<Api>, headers: &HeaderMap, arrived: Moment) -> Result<Self, AuthFailure> {
        let caller = api.callers.identify(headers, &api.lasting.service_accounts, arrived.wall)?;
        let caller = Arc::clone(caller);
        Ok(Self { api, caller })
    }
}

/// Finds the caller. When a token names an unknown key, the keys are fetched once more.
async fn identify(live: &Live<Api>, headers: &HeaderMap, arrived: Moment) -> Result<Known, AuthFailure> {
    let api = live.current();
    let (deadline, service_accounts) =
        (arrived.monotonic + api.request_timeout, Arc::clone(&api.lasting.service_accounts));
    let identified = Known::find(api, headers, arrived);
    if !matches!(identified, Err(AuthFailure::UnknownKey)) {
        return identified;
    }
    // The token is refused if its key is still unknown at the deadline.
    let _ = Box::pin(tokio::time::timeout_at(deadline.into(), service_accounts.fetch_again())).await;
    Known::find(live.current(), headers, arrived)
}

/// Answers a known caller, within the bounds of the gateway and of its own limit.
async fn answer_caller(
    live: &Live<Api>,
    known: &mut Known,
    router: &Router,
    info: &RequestInfo,
    request: &mut Request,
) -> Result<Response, Problem> {
    let arrived = info.moment.monotonic;
    let (api, caller) = (Arc::clone(&known.api), Arc::clone(&known.caller));
    let Some(_place) = api.lasting.places.take(api.max_in_flight) else {
        let problem = Problem::new(Code::Overloaded, "too many requests at once");
        return Err(problem.retry_after(RetryAfter::ONE_SECOND));
    };
    let balances = if is_too_large(request) { 1 } else { cost::of(&api, &caller, info.route, request) };
    let cost = caller.units(balances);
    caller.charge(cost, arrived).map_err(|retry_after| {
        Problem::new(Code::RateLimited, "rate limit exceeded for this caller").retry_after(retry_after)
    })?;
    let answering = pin!(authorize_and_answer(live, known, router, info, request));
    let answer = in_time(&api, arrived, answering).await;
    match code_of(&answer) {
        Some(Code::ContentTooLarge) => caller.give_back(cost.saturating_sub(1)),
        // Another limit of the caller refused it: a refused request costs nothing.
        Some(Code::RateLimited) => caller.give_back(cost),
        _ => {}
    }
    answer
}

fn code_of(answer: &Result<Response, Problem>) -> Option<Code> {
    match answer {
        Ok(response) => response.extensions().get::<Problem>().map(|problem| problem.code),
        Err(problem) => Some(problem.code),
    }
}

/// Waits for an answer slightly longer than the request time-out: a handler that waits until then may still have
/// something to serve. `answer` is pinned by its owner: passed by value it would be stored twice.
async fn in_time(
    api: &Api,
    arrived: Instant,
    mut answer: Pin<&mut impl Future<Output = Result<Response, Problem>>>,
) -> Result<Response, Problem> {
    // A cached hit is ready at once and needs no timer.
    if let Poll::Ready(answer) = poll!(answer.as_mut()) {
        return answer;
    }
    let deadline = arrived + api.request_timeout + HANDLER_MARGIN;
    let late = || Problem::new(Code::DeadlineExceeded, "the request exceeded its time-out");
    Box::pin(tokio::time::timeout_at(deadline.into(), answer)).await.unwrap_or_else(|_| Err(late()))
}

/// Answers a request that needs no caller. It does not read the body, because a stranger could send one without end.
async fn answer_anybody(router: &Router, request: &mut Request) -> Result<Response, Problem> {
    drop(std::mem::take(request.body_mut()));
    Ok(dispatch::through_router(router, request).await)
}

/// Checks the permission, reads the body, and answers. After a reload during the body, it looks up caller, permission
/// and account again, so that all three belong to the newest configuration.
async fn authorize_and_answer(
    live: &Live<Api>,
    known: &mut Known,
    router: &Router,
    info: &RequestInfo,
    request: &mut Request,
) -> Result<Response, Problem> {
    let now = info.moment.monotonic;
    let mut account = permit(known, request, now)?;
    if !request.body().is_end_stream() {
        ignore_body(request).await?;
        *known = Known::find(live.current(), request.headers(), info.moment)
            .map_err(|reason| unauthenticated(&live.current(), info, reason))?;
        account = permit(known, request, now)?;
    }
    let Known { api, caller } = &*known;
    let name = account.as_ref().filter(|_| api.is_noted()).map(|open| open.account.name().clone());
    let admitted = Admitted { api: Arc::clone(api), caller: Arc::clone(caller), account };
    let answer = dispatch::dispatch(router, info, admitted, request).await;
    let mut response = answer.unwrap_or_else(answer::from_router);
    if name.is_some() {
        response.extensions_mut().get_or_insert_default::<Logged>().account = name;
    }
    Ok(response)
}

fn unauthenticated(api: &Api, info: &RequestInfo, reason: AuthFailure) -> Problem {
    let now = info.moment.monotonic;
    let throttled = api.lasting.auth_throttle.note_failure(info.peer.0.ip(), now).err();
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

/// Finds the account of a path that names one. This check comes first: a forbidden account looks like an unknown one.
fn permit(known: &Known, request: &Request, now: Instant) -> Result<Option<Arc<OpenAccount>>, Problem> {
    let Some((encoded, _)) = route::account_path(request.uri().path()) else { return Ok(None) };
    let Known { api, caller } = known;
    let is_encoded = encoded.contains('%');
    let name =
        if is_encoded { percent_decode_str(encoded).decode_utf8_lossy() } else { Cow::Borrowed(encoded) };
    let Some(account) = api.visible_account(caller, &name) else {
        api.note_not_found(caller, &name, now);
        return Err(Problem::account_not_found(&name));
    };
    Ok(Some(Arc::clone(account)))
}

/// Whether the announced body exceeds the read limit.
fn is_too_large(request: &Request) -> bool {
    request.body().size_hint().lower() > MOST_BODY
}

/// Reads a small body, because a client may expect that. It refuses a large one before reading, and so sends no
/// `100 Continue`.
async fn ignore_body(request: &mut Request) -> Result<(), Problem> {
    let too_large = || Problem::new(Code::ContentTooLarge, "no endpoint takes a body");
    if is_too_large(request) {
        return Err(too_large());
    }
    let body = std::mem::take(request.body_mut());
    // Boxed, since it would make the future of every request larger, and nearly none has a body.
    let read = Box::pin(Limited::new(body, MOST_BODY_BYTES).collect()).await;
    read.map(drop).map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large()
        } else {
            Problem::new(Code::InvalidRequest, "the body cannot be read")
        }
    })
}
