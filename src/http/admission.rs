//! The layer between measuring and the handlers: the whole-request deadline, then the caller, its limit, its
//! permission, and the body that no endpoint uses, in the contract's order of refusals.

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

use super::api::cost;
use super::arrival::{Admitted, Arrival};
use super::caller::Caller;
use super::logged::Logged;
use super::problem::{Code, Problem};
use super::route;
use super::state::{Answering, Api, OpenAccount};
use crate::domain::{Moment, RetryAfter};
use crate::live::Live;
use crate::metrics::AuthFailure;
use crate::server::Peer;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// No endpoint takes a body; this much is read and ignored.
const MOST_BODY: u64 = 4 * 1024;
const MOST_BODY_BYTES: usize = 4 * 1024;
/// For a handler to write what it has when the request's time is over.
const HANDLER_MARGIN: Duration = Duration::from_millis(100);

/// The layer: admits requests of known callers, takes the units that a request costs, and ends what takes longer
/// than it may. Handlers have their own, earlier deadlines.
pub(super) fn admit<S: Answering>(live: Live<Api>, inner: S) -> impl Answering {
    service_fn(move |request: Request| {
        let (live, inner) = (live.clone(), inner.clone());
        async move { Ok(admitted(&live, inner, request).await.unwrap_or_else(Problem::into_response)) }
    })
}

/// A known caller, and the configuration that knows it.
struct Known {
    api: Arc<Api>,
    caller: Arc<Caller>,
}

async fn admitted(live: &Live<Api>, inner: impl Answering, request: Request) -> Result<Response, Problem> {
    let moment = Arrival::of(&request)?.moment;
    let now = moment.monotonic;
    if !route::needs_caller(request.uri().path()) {
        return in_time(&live.current(), now, answer_anybody(inner, request)).await;
    }
    let mut known = match identify(live, request.headers(), moment).await {
        Ok(known) => known,
        Err(reason) => return Err(unauthenticated(&live.current(), &request, reason, now)),
    };
    let answer = answer_caller(live, &mut known, inner, request, moment).await;
    let Known { api, caller } = known;
    let mut response = answer.unwrap_or_else(Problem::into_response);
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

/// Finds the caller. A token's key that is unknown may be known after the keys were fetched again.
async fn identify(live: &Live<Api>, headers: &HeaderMap, arrived: Moment) -> Result<Known, AuthFailure> {
    let api = live.current();
    let (deadline, service_accounts) =
        (arrived.monotonic + api.request_timeout, Arc::clone(&api.lasting.service_accounts));
    let identified = Known::find(api, headers, arrived);
    if !matches!(identified, Err(AuthFailure::UnknownKey)) {
        return identified;
    }
    // Without the keys by then, it is refused as it is now.
    let _ = Box::pin(tokio::time::timeout_at(deadline.into(), service_accounts.fetch_again())).await;
    Known::find(live.current(), headers, arrived)
}

/// Answers a known caller, within the bounds of the gateway and of its own limit.
async fn answer_caller(
    live: &Live<Api>,
    known: &mut Known,
    inner: impl Answering,
    request: Request,
    arrived: Moment,
) -> Result<Response, Problem> {
    let (api, caller) = (Arc::clone(&known.api), Arc::clone(&known.caller));
    let Some(_place) = api.lasting.places.take(api.max_in_flight) else {
        let problem = Problem::new(Code::Overloaded, "too many requests at once");
        return Err(problem.retry_after(RetryAfter::ONE_SECOND));
    };
    let balances = if is_too_large(&request) { 1 } else { cost::of(&api, &caller, &request) };
    let cost = caller.units(balances);
    caller.charge(cost, arrived.monotonic).map_err(|retry_after| {
        Problem::new(Code::RateLimited, "rate limit exceeded for this caller").retry_after(retry_after)
    })?;
    let answer = in_time(&api, arrived.monotonic, let_in(live, known, inner, request, arrived)).await;
    match code_of(&answer) {
        Some(Code::ContentTooLarge) => caller.give_back(cost.saturating_sub(1)),
        // Refused by another limit of the caller's: a refused request costs nothing.
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

/// Answers a request that needs no caller. A body is not waited for: a stranger could send it for ever.
async fn answer_anybody(mut inner: impl Answering, mut request: Request) -> Result<Response, Problem> {
    drop(std::mem::take(request.body_mut()));
    let Ok(response) = inner.call(request).await;
    Ok(response)
}

/// Checks the permission, reads the body, and answers. A reload may come while the body does: then caller, permission
/// and account are found again, so that all of them are of the newest configuration.
async fn let_in(
    live: &Live<Api>,
    known: &mut Known,
    mut inner: impl Answering,
    mut request: Request,
    arrived: Moment,
) -> Result<Response, Problem> {
    let now = arrived.monotonic;
    let mut account = permit(known, &request, now)?;
    if !request.body().is_end_stream() {
        ignore_body(&mut request).await?;
        *known = Known::find(live.current(), request.headers(), arrived)
            .map_err(|reason| unauthenticated(&live.current(), &request, reason, now))?;
        account = permit(known, &request, now)?;
    }
    let Known { api, caller } = &*known;
    let name = account.as_ref().filter(|_| api.is_noted()).map(|open| open.account.name().clone());
    let admitted = Admitted { api: Arc::clone(api), caller: Arc::clone(caller), account };
    Arrival::admit(&mut request, admitted);
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

/// Finds the account of a path that has one. An account that the caller may not see does not exist for it, before
/// anything else is looked at.
fn permit(known: &Known, request: &Request, now: Instant) -> Result<Option<Arc<OpenAccount>>, Problem> {
    let Some((encoded, _)) = route::account_path(request.uri().path()) else { return Ok(None) };
    let Known { api, caller } = known;
    let name = percent_decode_str(encoded).decode_utf8_lossy();
    let Some(account) = api.visible_account(caller, &name) else {
        api.note_not_found(caller, &name, now);
        return Err(Problem::account_not_found(&name));
    };
    Ok(Some(Arc::clone(account)))
}

/// Whether the announced body is larger than is read.
fn is_too_large(request: &Request) -> bool {
    request.body().size_hint().lower() > MOST_BODY
}

/// Reads a small body, since a client may expect that. A large one is refused as soon as it is announced: reading
/// would invite a client that waits for `100 Continue`.
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
