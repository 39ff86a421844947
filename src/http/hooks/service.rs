//! The service of the listener for notifications. Any host can reach it, so a request costs little: its body is not
//! stored, and it ends after the request time-out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::{Buf, Bytes};
use http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tower::{Service, service_fn};

use super::hook::Hook;
use super::proof::{Proof, Proving};
use crate::domain::Moment;
use crate::http::state::Api;
use crate::http::targets;
use crate::live::Live;
use crate::metrics::HookResult;
use crate::server::Peer;

/// The longest body.
const MOST_BODY: u64 = 64 * 1024;

/// Answers have no body: a stranger learns nothing from them.
type Reply = Response<Empty<Bytes>>;

/// The service of the listener for notifications.
#[must_use]
pub fn hooks_service(
    live: &Live<Api>,
) -> impl Service<Request<Incoming>, Response = Reply, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let live = live.clone();
    service_fn(move |request| {
        let api = live.current();
        async move { Ok(answer(&api, request).await) }
    })
}

async fn answer(api: &Api, request: Request<Incoming>) -> Reply {
    let Some(hook) = api.hooks.find(request.uri().path()) else { return reply(StatusCode::NOT_FOUND) };
    if request.method() != Method::POST {
        return with(reply(StatusCode::METHOD_NOT_ALLOWED), ALLOW, HeaderValue::from_static("POST"));
    }
    let now = api.gateway.now();
    let (head, body) = request.into_parts();
    let proving = hook.proof.begin(&head, now.wall);
    match prove(proving, body, now, api.request_timeout).await {
        Ok(true) => acknowledge(api, &hook, &head, now),
        Ok(false) => refuse(api, &hook, &head, now),
        Err(status) => {
            hook.metrics.notified(HookResult::Refused);
            reply(status)
        }
    }
}

/// Reads the whole body, and returns whether the notification is proven.
async fn prove(
    mut proving: Proving,
    mut body: Incoming,
    now: Moment,
    longest: Duration,
) -> Result<bool, StatusCode> {
    if body.size_hint().lower() > MOST_BODY {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let (deadline, mut taken) = (Instant::from_std(now.monotonic + longest), 0);
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
        let Some(frame) = frame else { return Ok(proving.holds()) };
        // Trailers are not signed.
        let Ok(part) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        taken += part.remaining() as u64;
        if taken > MOST_BODY {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        proving.add(&part);
    }
}

/// Acts on a proven notification, unless it is a duplicate.
fn acknowledge(api: &Api, hook: &Arc<Hook>, head: &Parts, now: Moment) -> Reply {
    if hook.is_duplicate(head, now.monotonic) {
        hook.metrics.notified(HookResult::Duplicate);
    } else {
        hook.metrics.notified(HookResult::Accepted);
        hook.act(&api.gateway);
    }
    reply(hook.answer)
}

/// Refuses an unproven notification, and throttles its peer.
fn refuse(api: &Api, hook: &Hook, head: &Parts, now: Moment) -> Reply {
    let peer = head.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let throttled =
        peer.and_then(|peer| api.long_lived.notification_throttle.note_failure(peer, now.monotonic).err());
    tracing::debug!(target: targets::HOOKS, hook = hook.name.as_str(), ?peer, "a notification is not proven");
    if let Some(retry_after) = throttled {
        hook.metrics.notified(HookResult::Throttled);
        let wait = HeaderValue::from(retry_after.as_secs());
        return with(reply(StatusCode::TOO_MANY_REQUESTS), RETRY_AFTER, wait);
    }
    hook.metrics.notified(HookResult::Refused);
    let refusal = reply(StatusCode::UNAUTHORIZED);
    match hook.proof {
        Proof::Basic(_) => {
            with(refusal, WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"notifications\""))
        }
        Proof::Headers(_) | Proof::Hmac(_) => refusal,
    }
}

fn reply(status: StatusCode) -> Reply {
    let mut reply = Response::new(Empty::new());
    *reply.status_mut() = status;
    reply
}

fn with(mut reply: Reply, name: http::HeaderName, value: HeaderValue) -> Reply {
    reply.headers_mut().insert(name, value);
    reply
}
