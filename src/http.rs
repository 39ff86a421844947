//! The API for callers and the operations port: two routers on two listeners. This module translates between HTTP and
//! the `gateway`, which decides about balances.

mod admission;
mod answer;
mod api;
mod caller;
mod directives;
mod dispatch;
mod forced;
mod forced_log;
mod header;
mod hooks;
mod in_flight_limit;
mod logged;
mod observe;
pub mod ops;
pub mod pages;
mod problem;
mod query;
mod request_info;
mod route;
mod seconds;
mod settings;
mod state;
mod stream_ends;
mod targets;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::Redirect;
use axum::routing::{get, post};
use hyper::body::Incoming;

pub use hooks::{
    Digest, Encoding, HmacSettings, HookSettings, ProofSettings, SecretHeader, Template, hooks_service,
};
pub use settings::{CallerSettings, ServerSettings};
pub use state::{Api, ApiParts};

use crate::live::Live;
use crate::server::{Peer, Respond};
use api::{accounts, balance, balances, events, reconciliation, sufficiency};
use pages::{dashboard, docs, openapi};
use problem::{Code, Problem};
use route::Route;

/// Answers the requests of the API's listener.
#[derive(Clone)]
pub struct ApiService(Arc<Inner>);

struct Inner {
    live: Live<Api>,
    router: Router,
}

/// Makes the API's service.
pub fn api_service(live: &Live<Api>) -> ApiService {
    let router = Router::new()
        .route(Route::Accounts.pattern(), get(accounts::list))
        .route(Route::Balance.pattern(), get(balance::show))
        .route(Route::Invalidate.pattern(), post(accounts::invalidate))
        .route(Route::Sufficiency.pattern(), get(sufficiency::check))
        .route(Route::Balances.pattern(), get(balances::list))
        .route(Route::Reconciliation.pattern(), get(reconciliation::report))
        .route(Route::Events.pattern(), get(events::open))
        .route(Route::Root.pattern(), get(async || Redirect::to(Route::Dashboard.pattern())))
        .route(Route::OpenApi.pattern(), get(openapi::show))
        .route(Route::Docs.pattern(), get(docs::show))
        .route(Route::DocsFile.pattern(), get(docs::file))
        .route(Route::Dashboard.pattern(), get(dashboard::show))
        .route(Route::DashboardFile.pattern(), get(dashboard::file))
        .fallback(async || Problem::new(Code::NotFound, "see the documentation for the paths of this API"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "the Allow header lists the methods")
        })
        .with_state(live.clone());
    ApiService(Arc::new(Inner { live: live.clone(), router }))
}

impl Respond for ApiService {
    type Body = answer::Body;

    /// The layers, outermost first: `observe`, `admission`, then the handler.
    fn respond(
        self,
        request: http::Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = answer::Reply> + Send + 'static {
        let mut request = request.map(body_of);
        async move { observe::observe(&self.0.live, &self.0.router, peer, &mut request).await }
    }
}

/// Most requests have no body, and an empty body needs no box.
fn body_of(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_answer<F>(_: fn(ApiService, http::Request<Incoming>, Peer) -> F) -> usize {
        size_of::<F>()
    }

    /// This future is copied several times for each request. So its waiting parts are boxed, and no future is stored
    /// twice.
    #[test]
    fn the_future_of_an_answer_is_small() {
        let size = size_of_answer(<ApiService as Respond>::respond);

        assert!(size <= 3584, "{size}");
    }
}
