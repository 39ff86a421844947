//! The API for callers and the operations side: two routers on two listeners. Everything here translates; the `gateway`
//! decides what a balance is.

mod admission;
mod api;
mod arrival;
mod byes;
mod caller;
mod directives;
mod header;
mod hooks;
mod logged;
mod observe;
pub mod ops;
pub mod pages;
mod places;
mod problem;
mod query;
mod route;
mod settings;
mod state;

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder, layer::layer_fn};

pub use hooks::{
    Digest, Encoding, HmacSettings, HookSettings, ProofSettings, SecretHeader, Template, hooks_service,
};
pub use settings::{CallerSettings, ServerSettings};
pub use state::{Api, ApiParts};

use crate::live::Live;
use api::{accounts, balance, balances, events, reconciliation, sufficiency};
use pages::{dashboard, docs, openapi};
use problem::{Code, Problem};
use route::Route;

/// The API's service; its layers, outermost first.
pub fn api_service(
    live: &Live<Api>,
) -> impl Service<http::Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let router = Router::new()
        .route(Route::Accounts.pattern(), get(accounts::list))
        .route(Route::Balance.pattern(), get(balance::show))
        .route(Route::Invalidate.pattern(), post(accounts::invalidate))
        .route(Route::Sufficiency.pattern(), get(sufficiency::check))
        .route(Route::Balances.pattern(), get(balances::list))
        .route(Route::Reconciliation.pattern(), get(reconciliation::report))
        .route(Route::Events.pattern(), get(events::open))
        .route(Route::OpenApi.pattern(), get(openapi::show))
        .route(Route::Docs.pattern(), get(docs::show))
        .route(Route::DocsFile.pattern(), get(docs::file))
        .route(Route::Dashboard.pattern(), get(dashboard::show))
        .route(Route::DashboardFile.pattern(), get(dashboard::file))
        .fallback(async || Problem::new(Code::NotFound, "see the documentation for the paths of this API"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "see Allow for the methods")
        })
        .with_state(live.clone());
    ServiceBuilder::new()
        .map_request(|request: http::Request<Incoming>| request.map(body_of))
        .layer(layer_fn(|inner| observe::observe(live.clone(), inner)))
        .layer(layer_fn(|inner| admission::admit(live.clone(), inner)))
        .service(router)
}

/// Most requests have no body, and an empty one needs no box.
fn body_of(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
