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

use super::answer::{self, Reply};
use super::api::cost;
use super::dispatch;
use super::logged::Logged;
use super::problem::{Code, Problem};
use super::request_info::{Admitted, RequestInfo};
use super::route;
use super::state::Api;
use crate::domain::{Moment, RetryAfter};
use crate::live::Live;
use crate::metrics::AuthFailure;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// No endpoint uses a body. A body up to this size is read and ignored.
const MOST_BODY: u64 = 4 * 1024;
const MOST_BODY_BYTES: usize = 4 * 1024;
/// Time for a handler to write its answer after the request's deadline.
const HANDLER_MARGIN: Duration = Duration::from_millis(100);

/// The layer: admits requests of known callers, takes the units that a request costs, and ends requests that exceed
/// the time-out. Handlers have their own, earlier deadlines. `api` is the configuration at the arrival.
pub(super) async fn admit(
    live: &Live<Api>,
    api: &Arc<Api>,
    router: &Router,
    info: &mut RequestInfo,
    request: &mut Request,
) -> Reply {
    admitted(live, api, router, info, request).await.unwrap_or_else(answer::from_router)
}

async fn admitted(
    live: &Live<Api>,
    api: &Arc<Api>,
    router: &Router,
    info: &mut RequestInfo,
    request: &mut Request,
) -> Result<Reply, Problem> {
    let now = info.moment.monotonic;
    if !route::needs_caller(request.uri().path()) {
        let answering = pin!(answer_anybody(router, request));
        return in_time(api, now, answering).await;
    }
    match identify(live, api, request.headers(), info.moment).await {
        Ok(admitted) => info.admitted = Some(admitted),
        Err(reason) => return Err(unauthenticated(&live.current(), info, reason)),
    }
    let answer = answer_caller(live, api, router, info, request).await;
    let Admitted { api, caller, .. } = info.admitted()?;
    let mut reply = answer.unwrap_or_else(answer::from_router);
    reply.delivery.is_known = true;
    let headers = reply.response.headers_mut();
    headers.insert(RATE_LIMIT_POLICY, caller.policy());
    headers.insert(RATE_LIMIT, caller.state(now));
    if api.needs_attributes() {
        reply.response.extensions_mut().get_or_insert_default::<Logged>().caller =
            Some(caller.name().clone());
    }
    Ok(reply)
}

/// Finds the caller of a request in a configuration.
fn find_caller(api: &Arc<Api>, headers: &HeaderMap, arrived: Moment) -> Result<Admitted, AuthFailure> {
    let caller = api.callers.identify(headers, &api.long_lived.service_accounts, arrived.wall)?;
    Ok(Admitted { api: Arc::clone(api), caller: Arc::clone(caller), account: None })
}

/// Finds the caller. When a token names an unknown key, the keys are fetched once more.
async fn identify(
    live: &Live<Api>,
    api: &Arc<Api>,
    headers: &HeaderMap,
    arrived: Moment,
) -> Result<Admitted, AuthFailure> {
    let identified = find_caller(api, headers, arrived);
    if !matches!(identified, Err(AuthFailure::UnknownKey)) {
        return identified;
    }
    let (deadline, service_accounts) =
        (arrived.monotonic + api.request_timeout, &api.long_lived.service_accounts);
    // The token is refused if its key is still unknown at the deadline.
    let _ = Box::pin(tokio::time::timeout_at(deadline.into(), service_accounts.fetch_again())).await;
    find_caller(&live.current(), headers, arrived)
}

/// Answers a known caller, within the limits of the gateway and of the caller.
async fn answer_caller(
    live: &Live<Api>,
    arrived_under: &Api,
    router: &Router,
    info: &mut RequestInfo,
    request: &mut Request,
) -> Result<Reply, Problem> {
    let arrived = info.moment.monotonic;
    let Some(_permit) = arrived_under.long_lived.in_flight_limit.take(arrived_under.max_in_flight) else {
        let problem = Problem::new(Code::Overloaded, "too many requests at once");
        return Err(problem.retry_after(RetryAfter::ONE_SECOND));
    };
    let Admitted { api, caller, .. } = info.admitted()?;
    let caller = Arc::clone(caller);
    let balances = if is_too_large(request) { 1 } else { cost::of(api, &caller, info.route, request) };
    let cost = caller.units(balances);
    caller.charge(cost, arrived).map_err(|retry_after| {
        Problem::new(Code::RateLimited, "rate limit exceeded for this caller").retry_after(retry_after)
    })?;
    let answering = pin!(authorize_and_answer(live, router, info, request));
    let answer = in_time(arrived_under, arrived, answering).await;
    match code_of(&answer) {
        Some(Code::ContentTooLarge) => caller.give_back(cost.saturating_sub(1)),
        // Another limit of the caller refused the request, and a refused request costs nothing.
        Some(Code::RateLimited) => caller.give_back(cost),
        _ => {}
    }
    answer
}

fn code_of(answer: &Result<Reply, Problem>) -> Option<Code> {
    match answer {
        Ok(reply) => reply.response.extensions().get::<Problem>().map(|problem| problem.code),
        Err(problem) => Some(problem.code),
    }
}

/// Waits for an answer slightly longer than the request time-out: a handler that waits until then may still have
/// something to serve. `answer` is pinned by its owner: passed by value it would be stored twice.
async fn in_time(
    api: &Api,
    arrived: Instant,
    mut answer: Pin<&mut impl Future<Output = Result<Reply, Problem>>>,
) -> Result<Reply, Problem> {
    // A cached hit is ready at once and needs no timer.
    if let Poll::Ready(answer) = poll!(answer.as_mut()) {
        return answer;
    }
    let deadline = arrived + api.request_timeout + HANDLER_MARGIN;
    let late = || Problem::new(Code::DeadlineExceeded, "the request exceeded its time-out");
    Box::pin(tokio::time::timeout_at(deadline.into(), answer)).await.unwrap_or_else(|_| Err(late()))
}

/// Answers a request that needs no caller. It does not read the body, because a stranger could send one without end.
async fn answer_anybody(router: &Router, request: &mut Request) -> Result<Reply, Problem> {
    drop(std::mem::take(request.body_mut()));
    Ok(dispatch::through_router(router, request).await)
}

/// Checks the permission, reads the body, and answers. After a reload during the body, it looks up caller, permission
/// and account again, so that all three belong to the newest configuration.
async fn authorize_and_answer(
    live: &Live<Api>,
    router: &Router,
    info: &mut RequestInfo,
    request: &mut Request,
) -> Result<Reply, Problem> {
    permit(info, request)?;
    if !request.body().is_end_stream() {
        ignore_body(request).await?;
        let found = find_caller(&live.current(), request.headers(), info.moment);
        info.admitted = Some(found.map_err(|reason| unauthenticated(&live.current(), info, reason))?);
        permit(info, request)?;
    }
    let answer = dispatch::dispatch(router, info, request).await;
    let mut reply = answer.unwrap_or_else(answer::from_router);
    let Admitted { api, account, .. } = info.admitted()?;
    if let Some(open) = account.as_ref().filter(|_| api.needs_attributes()) {
        let name = Some(open.account.name().clone());
        reply.response.extensions_mut().get_or_insert_default::<Logged>().account = name;
    }
    Ok(reply)
}

fn unauthenticated(api: &Api, info: &RequestInfo, reason: AuthFailure) -> Problem {
    let now = info.moment.monotonic;
    let throttled = api.long_lived.auth_throttle.note_failure(info.peer.0.ip(), now).err();
    let reason = if throttled.is_some() { AuthFailure::Throttled } else { reason };
    api.long_lived.metrics.auth_failed(reason);
    api.long_lived.denied.write(None, None, crate::metrics::Label::as_str(reason), now);
    match throttled {
        Some(retry_after) => {
            Problem::new(Code::RateLimited, "too many requests without a known key").retry_after(retry_after)
        }
        None => {
            Problem::new(Code::Unauthenticated, "send Authorization: Bearer with a caller's key or token")
        }
    }
}

/// Finds the account that the path names, if it names one. The caller cannot tell a forbidden account from an unknown
/// one.
fn permit(info: &mut RequestInfo, request: &Request) -> Result<(), Problem> {
    let Some((encoded, _)) = route::account_path(request.uri().path()) else { return Ok(()) };
    let is_encoded = encoded.contains('%');
    let name =
        if is_encoded { percent_decode_str(encoded).decode_utf8_lossy() } else { Cow::Borrowed(encoded) };
    let Admitted { api, caller, .. } = info.admitted()?;
    let Some(account) = api.visible_account(caller, &name).cloned() else {
        api.note_not_found(caller, &name, info.moment.monotonic);
        return Err(Problem::account_not_found(&name));
    };
    if let Some(admitted) = &mut info.admitted {
        admitted.account = Some(account);
    }
    Ok(())
}

/// Whether the announced body exceeds the read limit.
fn is_too_large(request: &Request) -> bool {
    request.body().size_hint().lower() > MOST_BODY
}

/// Reads a small body, because a client may expect that. It refuses a large one before reading, and so sends no
/// `100 Continue`.
async fn ignore_body(request: &mut Request) -> Result<(), Problem> {
    let too_large = || Problem::new(Code::ContentTooLarge, "no endpoint accepts a body");
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
