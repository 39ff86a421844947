//! The composition root: builds and runs a gateway from a configuration. Only this module knows every other.

mod assembly;
mod build_info;
mod check_live;
mod error;
mod files;
mod kubernetes;
mod process_state;
mod record;
mod reload;
mod run;
mod shared_store;
mod watches;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::auth::{KubernetesSettings, ServiceAccounts};
use crate::config::{Config, Level, Watcher};
use crate::domain::Clock;
use crate::http::ops::Ops;
use crate::http::{Api, ApiParts};
use crate::limits::Limiter;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::server::{self, Endpoint, Workers};
use crate::shutdown::{Hangups, Shutdown};
use crate::trace::Tracer;
use build_info::{REVISION, VERSION};
use process_state::ProcessState;
use reload::SetLogLevel;
use shared_store::SharedStore;

pub use check_live::{IssuerResult, LiveResult, StoreResult, read_once, try_issuer, try_store};
pub use error::BuildError;
pub use files::raise_open_files;
pub use record::{RecordError, record};

/// A gateway with bound listeners, ready to run.
pub struct App {
    api: Endpoint,
    ops: Endpoint,
    /// The listener for notifications, if `server.hooks` is set.
    hooks: Option<Endpoint>,
    api_addr: SocketAddr,
    ops_addr: SocketAddr,
    hooks_addr: Option<SocketAddr>,
    service: Live<Api>,
    service_accounts: Arc<ServiceAccounts>,
    process_state: ProcessState,
    /// The settings with which `service_accounts` starts.
    kubernetes: Option<KubernetesSettings>,
    operations: Ops,
    config: Config,
    reloading: Option<(Watcher, Hangups, SetLogLevel)>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl App {
    /// Binds the listeners and builds everything behind them. Nothing is served and no call is made yet. `clock` is
    /// used for ages, holds, budgets and arrival times; timers run in real time.
    ///
    /// # Errors
    /// [`BuildError`] when an address is in use, or a certificate is not usable.
    pub fn build(
        config: Config,
        clock: Clock,
        dropped_log_lines: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let config = files::fitted(config);
        let metrics = Arc::new(Metrics::new(VERSION, REVISION)?);
        let tracer = config.tracing.clone().map(|settings| Tracer::start(settings, clock)).transpose()?;
        let store = SharedStore::of(&config, clock, &metrics)?;
        let process_state = ProcessState::new(clock, tracer, store);
        let shared = process_state.shared_store.shared();
        let gateway = assembly::gateway(&config, clock, &metrics, shared, process_state.cache.clone())?;
        let kubernetes = kubernetes::settings(&config)?;
        let service_accounts = ServiceAccounts::new(Arc::clone(&metrics));
        let settings = &config.server;
        let bind = |addr| server::bind(addr).map_err(|error| BuildError::Bind(addr, error));
        let (api, ops) = (bind(settings.api)?, bind(settings.ops)?);
        let hooks = settings.hooks.map(bind).transpose()?;
        let parts = ApiParts {
            gateway: Arc::new(gateway),
            callers: config.callers.clone(),
            hooks: config.hooks.clone(),
            server: settings,
            limiter: &Limiter::new(shared.cloned()),
            tracer: process_state.tracer.clone(),
        };
        let shutdown = Shutdown::default();
        let api_state =
            Api::new(Arc::clone(&service_accounts), Arc::clone(&metrics), shutdown.clone(), parts);
        let service = Live::new(api_state);
        let operations = Ops {
            api: service.clone(),
            metrics: Arc::clone(&metrics),
            shutdown: shutdown.clone(),
            dropped_log_lines: Arc::new(dropped_log_lines),
        };
        reload::note_success(&metrics);
        metrics.set_certificate_expiries(config.own_expiries());
        let bound = |listener: &TcpListener, wanted| listener.local_addr().unwrap_or(wanted);
        Ok(Self {
            api_addr: bound(&api, settings.api),
            ops_addr: bound(&ops, settings.ops),
            hooks_addr: hooks.as_ref().zip(settings.hooks).map(|(hooks, wanted)| bound(hooks, wanted)),
            api: Endpoint {
                listener: api,
                tls: settings.tls.clone().map(Live::new),
                metrics: Some(Arc::clone(&metrics)),
                workers: Workers::start().map_err(BuildError::Workers)?,
                spare_files: files::FOR_OPS,
            },
            ops: Endpoint {
                listener: ops,
                tls: None,
                metrics: None,
                workers: Workers::none(),
                spare_files: 0,
            },
            hooks: hooks.map(|listener| Endpoint {
                listener,
                tls: settings.hooks_tls.clone().map(Live::new),
                metrics: Some(Arc::clone(&metrics)),
                workers: Workers::none(),
                spare_files: files::FOR_OPS,
            }),
            service,
            service_accounts,
            process_state,
            kubernetes,
            operations,
            config,
            reloading: None,
            metrics,
            shutdown,
        })
    }

    /// Reloads the configuration on SIGHUP and when its files change.
    #[must_use]
    pub fn reloading(
        self,
        watcher: Watcher,
        hangups: Hangups,
        set_log_level: impl Fn(Level) + Send + Sync + 'static,
    ) -> Self {
        Self { reloading: Some((watcher, hangups, Box::new(set_log_level))), ..self }
    }

    /// The bound address of the api port.
    #[must_use]
    pub fn api_addr(&self) -> SocketAddr {
        self.api_addr
    }

    /// The bound address of the operations port.
    #[must_use]
    pub fn ops_addr(&self) -> SocketAddr {
        self.ops_addr
    }

    /// The bound address of the port for notifications, if any.
    #[must_use]
    pub fn hooks_addr(&self) -> Option<SocketAddr> {
        self.hooks_addr
    }

    /// The handle that begins the drain.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }
}
