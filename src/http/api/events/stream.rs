//! One event stream. It writes a frame only when the previous one has been sent.
//!
//! An event is chosen when it is written. So a slow client gets the newest balances, and none above the ceiling.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{Stream, unfold};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::ending::Ending;
use super::followed::Followed;
use super::frame::{self, Frame};
use crate::auth::Credential;
use crate::domain::{Directives, Moment};
use crate::gateway::{RequestContext, Subscription};
use crate::http::api::item::Item;
use crate::http::caller::{Caller, StreamPermit};
use crate::http::problem::{Code, Problem};
use crate::http::request_info::RequestInfo;
use crate::http::state::Api;
use crate::live::Live;
use crate::server::OpenEnded;

/// Period of silence after which the stream sends a comment.
const SILENCE: Duration = Duration::from_secs(15);

/// One event stream.
pub(super) struct EventStream {
    live: Live<Api>,
    api: Arc<Api>,
    credential: Credential,
    query: Option<String>,
    request_id: String,
    refresh: Duration,
    followed: Followed,
    subscription: Arc<Subscription>,
    /// The first look-up of each balance.
    lookups: AbortOnDropHandle<()>,
    /// Frames that precede the first event.
    first: VecDeque<Bytes>,
    ending: Ending,
    has_ended: bool,
    permit: StreamPermit,
}

impl EventStream {
    /// Opens a stream whose units are already charged.
    pub(super) fn open(
        live: &Live<Api>,
        api: &Arc<Api>,
        request: &Request,
        refresh: Duration,
        permit: StreamPermit,
    ) -> Result<Self, Problem> {
        let info = RequestInfo::of(request)?;
        let query = request.uri().query();
        let service_accounts = &api.long_lived.service_accounts;
        let credential = api.callers.credential(request.headers(), service_accounts, info.moment.wall);
        let known = credential.and_then(|credential| Some((api.callers.find(&credential)?, credential)));
        let expired = || Problem::new(Code::Unauthenticated, "the token has just expired");
        let (caller, credential) = known.ok_or_else(expired)?;
        let followed = Followed::choose(api, caller, query, info.moment.monotonic)?;
        let request_id = info.request_id.to_str().unwrap_or_default().to_owned();
        let first = std::iter::once(frame::RETRY).chain(followed.not_found(&request_id)).collect();
        let (subscription, lookups) = follow(api, caller, &followed, refresh, info.moment);
        Ok(Self {
            live: live.clone(),
            credential,
            query: query.map(str::to_owned),
            request_id,
            refresh,
            followed,
            subscription,
            lookups,
            first,
            ending: Ending::of(api, info.moment.monotonic),
            has_ended: false,
            permit,
            api: Arc::clone(api),
        })
    }

    /// The frames of the body. The server learns the deadline of each from `frames`.
    pub(super) fn into_stream(
        self,
        frames: OpenEnded,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        unfold((self, frames), |(mut stream, frames)| async move {
            let Frame { text, taken_by } = stream.next().await?;
            frames.bound_next(taken_by);
            Some((Ok(text), (stream, frames)))
        })
    }

    /// Waits for the next frame; `None` after the last.
    async fn next(&mut self) -> Option<Frame> {
        if self.has_ended {
            return None;
        }
        if let Some(text) = self.first.pop_front() {
            return Some(Frame::unbound(text));
        }
        let silence = Instant::now() + SILENCE;
        loop {
            tokio::select! {
                biased;
                () = self.ending.wait(&self.api) => return Some(self.bye()),
                () = self.api.retired() => if !self.follow_reload() {
                    return Some(self.bye());
                },
                (index, event) = self.subscription.inbox().next() => {
                    self.permit.metrics().superseded(self.subscription.inbox().take_superseded());
                    if let Some(frame) = self.followed.write(index, event, self.api.gateway.now(), &self.request_id) {
                        self.permit.metrics().sent();
                        return Some(frame);
                    }
                }
                () = sleep_until(silence) => return Some(Frame::unbound(frame::KEEP_ALIVE)),
            }
        }
    }

    fn bye(&mut self) -> Frame {
        self.has_ended = true;
        Frame::unbound(frame::BYE)
    }

    /// Continues with the current configuration; false if the caller is unknown or may now see other balances.
    fn follow_reload(&mut self) -> bool {
        let api = self.live.current();
        let now = api.gateway.now();
        let Some(caller) = api.callers.find(&self.credential) else { return false };
        let chosen = Followed::choose(&api, caller, self.query.as_deref(), now.monotonic);
        let Ok(mut followed) = chosen else { return false };
        if !followed.continue_from(&self.followed) {
            return false;
        }
        (self.subscription, self.lookups) = follow(&api, caller, &followed, self.refresh, now);
        self.followed = followed;
        self.api = api;
        true
    }
}

/// Subscribes to the balances, and looks up each one once. Cached balances arrive at once, others when their read ends.
fn follow(
    api: &Arc<Api>,
    caller: &Arc<Caller>,
    followed: &Followed,
    refresh: Duration,
    arrived: Moment,
) -> (Arc<Subscription>, AbortOnDropHandle<()>) {
    let balances = || followed.balances.iter();
    let subscribed = balances().map(|balance| (balance.account(), balance.slot()));
    let subscription = Arc::new(api.gateway.subscribe(subscribed, refresh));
    for (index, balance) in balances().enumerate() {
        if let Some(known) = &balance.last {
            subscription.note_known(index, known);
        }
    }
    let context = RequestContext {
        arrived,
        directives: Directives::default(),
        deadline: arrived.monotonic + api.request_timeout,
    };
    let lookups: Vec<_> = balances()
        .enumerate()
        .map(|(index, balance)| {
            let (api, caller) = (Arc::clone(api), Arc::clone(caller));
            let (subscription, open, slot) =
                (Arc::clone(&subscription), Arc::clone(&balance.open), balance.slot().clone());
            async move {
                let item = Item { open: &open, slot: &slot };
                let found = item.look_up(&api, &caller, &context).await;
                let now = api.gateway.now();
                let result = found.and_then(|found| {
                    let late = crate::gateway::Refusal::Failed(crate::domain::UpstreamError::Timeout, None);
                    let age = item.age(&found, now).ok_or(late)?;
                    Ok((found, age))
                });
                item.count(&result, &context);
                subscription.add_current(index, result.map(|(found, _)| found.snapshot));
            }
        })
        .collect();
    let lookups = tokio::spawn(async move {
        join_all(lookups).await;
    });
    (subscription, AbortOnDropHandle::new(lookups))
}
