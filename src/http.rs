//! The API for callers and the operations side: two routers on two listeners. Everything here translates; what a
//! balance is, is decided in `gateway`.

mod accept;
mod accounts;
mod admission;
mod arrival;
mod auth_throttle;
mod balance;
mod balances;
mod batch;
mod caller;
pub mod clock;
mod connection;
mod dashboard;
mod denied;
mod directives;
mod docs;
pub mod kubernetes;
pub mod listener;
mod live;
mod observe;
pub mod openapi;
pub mod ops;
mod pace;
mod page;
mod problem;
mod query;
mod rate_limit;
mod reconciliation;
mod reply;
mod route;
mod settings;
mod sufficiency;
pub mod tls;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::header::HeaderValue;
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder, layer::layer_fn};

pub use caller::AccountPattern;
pub use live::Live;
pub use settings::{CallerSettings, Identity, LimitSettings, ServerSettings};

use crate::domain::AccountName;
use crate::gateway::{Account, Gateway};
use crate::metrics::{Metrics, ProviderMetrics, RouteMetrics};
use crate::shared::Shared;
use crate::trace::{self, Tracer};
use auth_throttle::AuthThrottle;
use caller::{Caller, Callers};
use denied::DeniedLog;
use kubernetes::ServiceAccounts;
use problem::{Code, Problem};
use route::Route;

/// Everything that answering a caller needs.
pub struct Api {
    gateway: Arc<Gateway>,
    accounts: BTreeMap<AccountName, Arc<OpenAccount>>,
    callers: Callers,
    service_accounts: Arc<ServiceAccounts>,
    metrics: Arc<Metrics>,
    /// In the order of [`Route::ALL`].
    routes: Arc<[RouteMetrics]>,
    auth_throttle: Arc<AuthThrottle>,
    denied: Arc<DeniedLog>,
    request_timeout: Duration,
    max_in_flight: usize,
    log_requests: bool,
    shows_balances: bool,
    tracer: Option<Tracer>,
}

/// An account with what its answers need every time.
struct OpenAccount {
    account: Arc<Account>,
    metrics: Arc<ProviderMetrics>,
    cache_control: HeaderValue,
}

impl Api {
    /// Gathers what answering needs; metrics handles and header values that do not change are made here.
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        callers: Vec<CallerSettings>,
        service_accounts: Arc<ServiceAccounts>,
        settings: &ServerSettings,
        metrics: Arc<Metrics>,
        shared: Option<&Arc<Shared>>,
    ) -> Self {
        let tracer = gateway.tracer().cloned();
        Self {
            accounts: open(&gateway, &metrics),
            gateway,
            callers: Callers::new(callers, (None, shared), &metrics, clock::monotonic()),
            service_accounts,
            routes: Route::ALL.iter().map(|route| metrics.route(route.pattern())).collect(),
            metrics,
            auth_throttle: Arc::default(),
            denied: Arc::default(),
            request_timeout: settings.request_timeout,
            max_in_flight: settings.max_in_flight,
            log_requests: settings.log_requests,
            shows_balances: settings.shows_balances,
            tracer,
        }
    }

    /// The API under another configuration. A caller's limit that did not change keeps its state.
    #[must_use]
    pub fn reconfigured(
        &self,
        gateway: Arc<Gateway>,
        callers: Vec<CallerSettings>,
        settings: &ServerSettings,
        shared: Option<&Arc<Shared>>,
    ) -> Self {
        let now = clock::monotonic();
        let tracer = gateway.tracer().cloned();
        Self {
            accounts: open(&gateway, &self.metrics),
            gateway,
            callers: Callers::new(callers, (Some(&self.callers), shared), &self.metrics, now),
            service_accounts: Arc::clone(&self.service_accounts),
            routes: Arc::clone(&self.routes),
            metrics: Arc::clone(&self.metrics),
            auth_throttle: Arc::clone(&self.auth_throttle),
            denied: Arc::clone(&self.denied),
            request_timeout: settings.request_timeout,
            max_in_flight: settings.max_in_flight,
            log_requests: settings.log_requests,
            shows_balances: settings.shows_balances,
            tracer,
        }
    }

    /// Whether somebody reads who the request that is being answered is from, and what it got.
    fn is_noted(&self) -> bool {
        self.log_requests || self.tracer.is_some() && trace::is_current_recorded()
    }

    /// Whose balances it serves.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The account of this name, if the caller may see it and it exists; the permission is asked first.
    fn visible_account(&self, caller: &Caller, name: &str) -> Option<&Arc<OpenAccount>> {
        if caller.may_see(name) { self.accounts.get(name) } else { None }
    }

    /// Every account that the caller may see, sorted by name.
    fn visible_accounts(&self, caller: &Caller) -> impl Iterator<Item = &Arc<OpenAccount>> {
        self.accounts.values().filter(|open| caller.may_see(open.account.name().as_str()))
    }
}

fn open(gateway: &Gateway, metrics: &Metrics) -> BTreeMap<AccountName, Arc<OpenAccount>> {
    let open = |account: &Arc<Account>| {
        let open = OpenAccount {
            account: Arc::clone(account),
            metrics: metrics.provider(account.provider()),
            cache_control: reply::cache_control(account.limits()),
        };
        (account.name().clone(), Arc::new(open))
    };
    gateway.accounts().map(open).collect()
}

/// What answers a request and cannot fail. The layers are functions from one to another, so that their futures need
/// no box: a cached hit is not much more than its layers.
trait Answering:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Answering for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

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
