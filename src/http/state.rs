//! The state of the API: the accounts, callers and settings of one configuration.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::caller::{self, Caller};
use super::forced_log::ForcedLog;
use super::header;
use super::hooks::{HookSettings, Hooks};
use super::in_flight_limit::InFlightLimit;
use super::route::Route;
use super::settings::{CallerSettings, ServerSettings};
use super::stream_ends::StreamEnds;
use crate::auth::{AuthThrottle, Callers, DeniedLog, ServiceAccounts};
use crate::domain::{AccountName, Limits};
use crate::gateway::{Account, Gateway};
use crate::limits::Limiter;
use crate::metrics::{Metrics, ProviderMetrics, RouteMetrics};
use crate::shutdown::Shutdown;
use crate::trace::{self, Tracer};

/// Everything needed to answer a caller.
pub struct Api {
    pub(super) long_lived: Arc<LongLived>,
    pub(super) gateway: Arc<Gateway>,
    /// Sorted by name.
    accounts: Vec<Arc<OpenAccount>>,
    by_name: HashMap<AccountName, Arc<OpenAccount>>,
    pub(super) callers: Callers<Caller>,
    pub(super) hooks: Hooks,
    pub(super) request_timeout: Duration,
    pub(super) max_in_flight: usize,
    pub(super) log_requests: bool,
    pub(super) shows_balances: bool,
    pub(super) replicas: u32,
    pub(super) tracer: Option<Tracer>,
    pub(super) drain_delay: Duration,
    pub(super) max_connection_age: Duration,
    /// Notifies event streams of a new configuration.
    replaced: CancellationToken,
}

/// State that outlives configurations.
pub(super) struct LongLived {
    pub(super) service_accounts: Arc<ServiceAccounts>,
    pub(super) metrics: Arc<Metrics>,
    /// In the order of [`Route::ALL`].
    pub(super) routes: Vec<RouteMetrics>,
    pub(super) auth_throttle: AuthThrottle,
    pub(super) denied: DeniedLog,
    pub(super) in_flight_limit: InFlightLimit,
    pub(super) forced_log: ForcedLog,
    pub(super) shutdown: Shutdown,
    /// Counts unproven notifications per peer.
    pub(super) notification_throttle: AuthThrottle,
    /// Decides when event streams end in a drain.
    pub(super) stream_ends: StreamEnds,
}

/// The parts of an API that the configuration decides.
pub struct ApiParts<'a> {
    /// Serves the use cases: balance, batch, sufficiency, reconciliation, events.
    pub gateway: Arc<Gateway>,
    /// The known callers.
    pub callers: Vec<CallerSettings>,
    /// The hooks of providers' notifications.
    pub hooks: Vec<HookSettings>,
    /// Settings of the listeners and of requests.
    pub server: &'a ServerSettings,
    /// Makes the limits of callers.
    pub limiter: &'a Limiter,
    /// Traces requests, where tracing is on.
    pub tracer: Option<Tracer>,
}

/// An account with the values that each of its answers needs.
pub(super) struct OpenAccount {
    pub(super) account: Arc<Account>,
    pub(super) metrics: Arc<ProviderMetrics>,
    pub(super) cache_control: HeaderValue,
}

impl Api {
    /// Makes the API of a process's first configuration.
    #[must_use]
    pub fn new(
        service_accounts: Arc<ServiceAccounts>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
        parts: ApiParts<'_>,
    ) -> Self {
        let long_lived = LongLived {
            service_accounts,
            routes: Route::ALL.iter().map(|route| metrics.route(route.pattern())).collect(),
            metrics,
            auth_throttle: AuthThrottle::default(),
            denied: DeniedLog::default(),
            in_flight_limit: InFlightLimit::default(),
            forced_log: ForcedLog::default(),
            shutdown,
            notification_throttle: AuthThrottle::default(),
            stream_ends: StreamEnds::default(),
        };
        Self::assemble(Arc::new(long_lived), None, parts)
    }

    /// Makes the API of a later configuration. An unchanged limit of a caller keeps its state.
    #[must_use]
    pub fn reconfigured(&self, parts: ApiParts<'_>) -> Self {
        Self::assemble(Arc::clone(&self.long_lived), Some(self), parts)
    }

    fn assemble(long_lived: Arc<LongLived>, before: Option<&Self>, parts: ApiParts<'_>) -> Self {
        let ApiParts { gateway, callers, hooks, server, limiter, tracer } = parts;
        let accounts = open(&gateway, &long_lived.metrics);
        let by_name = |open: &Arc<OpenAccount>| (open.account.name().clone(), Arc::clone(open));
        Self {
            by_name: accounts.iter().map(by_name).collect(),
            accounts,
            callers: caller::callers(
                callers,
                before.map(|before| &before.callers),
                limiter,
                &long_lived.metrics,
                gateway.now().monotonic,
            ),
            hooks: Hooks::new(hooks, before.map(|before| &before.hooks), &gateway, &long_lived.metrics),
            gateway,
            long_lived,
            request_timeout: server.request_timeout,
            max_in_flight: server.max_in_flight,
            log_requests: server.log_requests,
            shows_balances: server.shows_balances,
            replicas: server.replicas,
            tracer,
            drain_delay: server.drain_delay,
            max_connection_age: server.max_connection_age,
            replaced: CancellationToken::new(),
        }
    }

    /// Notifies event streams of a new configuration. Call it after the new configuration is in place.
    pub fn retire(&self) {
        self.replaced.cancel();
    }

    /// Waits until a new configuration replaces this one.
    pub(super) async fn retired(&self) {
        self.replaced.cancelled().await;
    }

    /// Whether a log line or a span needs the attributes of the current request.
    pub(super) fn needs_attributes(&self) -> bool {
        self.log_requests || self.tracer.is_some() && trace::is_current_recorded()
    }

    /// The gateway of this API.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The account with this name, if the caller may read it and the account exists. The permission is checked first.
    pub(super) fn visible_account(&self, caller: &Caller, name: &str) -> Option<&Arc<OpenAccount>> {
        if caller.may_see(name) { self.by_name.get(name) } else { None }
    }

    /// Logs that a caller asked for an account that does not exist, or that it may not see.
    pub(super) fn note_not_found(&self, caller: &Caller, account: &str, now: Instant) {
        self.long_lived.denied.write(Some(caller.name().as_str()), Some(account), "account_not_found", now);
    }

    /// Every account that the caller may see, sorted by name.
    pub(super) fn visible_accounts(&self, caller: &Caller) -> impl Iterator<Item = &Arc<OpenAccount>> {
        self.accounts.iter().filter(|open| caller.may_see(open.account.name().as_str()))
    }
}

fn open(gateway: &Gateway, metrics: &Metrics) -> Vec<Arc<OpenAccount>> {
    let mut of_provider = HashMap::new();
    let open = |account: &Arc<Account>| {
        let name = account.provider();
        let metrics = of_provider.entry(name.clone()).or_insert_with(|| metrics.provider(name));
        Arc::new(OpenAccount {
            account: Arc::clone(account),
            metrics: Arc::clone(metrics),
            cache_control: cache_control(account.limits()),
        })
    };
    gateway.accounts().map(open).collect()
}

/// `private, max-age=<fresh_for>, must-revalidate`.
fn cache_control(limits: Limits) -> HeaderValue {
    header::value(format!("private, max-age={}, must-revalidate", limits.fresh_for.get().as_secs()))
}
