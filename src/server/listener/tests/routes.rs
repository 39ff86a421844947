//! The routes of the tested server: answers that are large, endless or have a deadline.

use std::{convert::Infallible, future::pending};

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    routing::get,
};
use bytes::Bytes;
use futures_util::StreamExt;

use super::*;
use crate::server::{Delivery, OpenEnded};

pub(super) fn router(events: mpsc::UnboundedSender<&'static str>) -> Router {
    Router::new()
        .route("/", get(async || "balance"))
        .route("/peer", get(async |Extension(Peer(peer)): Extension<Peer>| peer.to_string()))
        .route(
            "/large",
            get(async |State(events): State<_>| Body::from(Bytes::from_owner(Large::new(events)))),
        )
        .route(
            "/forever",
            get(async |State(events): State<mpsc::UnboundedSender<_>>, _: Request| {
                let _ = events.send("begun");
                pending::<()>().await;
            }),
        )
        .route("/brief", get(async || taken_within(SHORT * 3, Bytes::from_static(b"balance"))))
        .route(
            "/brief-large",
            get(async || taken_within(SHORT * 3, Bytes::from(vec![b'x'; 16 * 1024 * 1024]))),
        )
        .route("/brief-empty", get(async || taken_within(SHORT * 3, Bytes::new())))
        .route("/frames", get(async |State(events): State<_>| frames(events, None)))
        .route("/brief-frames", get(async |State(events): State<_>| frames(events, Some(SHORT * 3))))
        .with_state(events)
}

/// An endless answer: one frame of 16 KiB every few milliseconds, each with a deadline `time` later. Sends "frame" for
/// each.
fn frames(events: mpsc::UnboundedSender<&'static str>, time: Option<Duration>) -> axum::response::Response {
    let open_ended = OpenEnded::default();
    let deadlines = open_ended.clone();
    let stream = futures_util::stream::repeat(()).then(move |()| {
        let (events, deadlines) = (events.clone(), deadlines.clone());
        async move {
            sleep(SHORT / 40).await;
            let _ = events.send("frame");
            deadlines.bound_next(time.map(|time| (Instant::now() + time).into_std()));
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 16 * 1024]))
        }
    });
    let mut response = axum::response::Response::new(Body::from_stream(stream));
    response.extensions_mut().insert(open_ended);
    response
}

/// An answer that must have left within this time.
fn taken_within(time: Duration, body: Bytes) -> axum::response::Response {
    let mut response = axum::response::Response::new(Body::from(body));
    let taken_by = Some((Instant::now() + time).into_std());
    response.extensions_mut().insert(Delivery { taken_by, is_known: true });
    response
}

/// A body larger than the buffers of two sockets. Sends "dropped" when it is dropped.
struct Large(Vec<u8>, mpsc::UnboundedSender<&'static str>);

impl Large {
    fn new(events: mpsc::UnboundedSender<&'static str>) -> Self {
        Self(vec![b'x'; 16 * 1024 * 1024], events)
    }
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let _ = self.1.send("dropped");
    }
}
