//! The composition root: builds and runs a gateway from a configuration. Only this module knows every other.

mod assembly;
mod build_info;
mod error;
mod files;
mod kubernetes;
mod lasting;
mod live;
mod record;
mod reload;
mod shared_store;
mod watches;

use std::future::Ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::auth::{KubernetesSettings, ServiceAccounts};
use crate::clock;
use crate::config::{Config, Level, Watcher};
use crate::http::ops::{self, Ops};
use crate::http::{self, Api, ApiParts};
use crate::limits::Limiter;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::server::{self, Endpoint, ListenerSettings, Workers};
use crate::shutdown::{Hangups, Shutdown};
use crate::telemetry::targets;
use crate::trace::Tracer;
use build_info::{REVISION, VERSION};
use lasting::Lasting;
use reload::{Reloader, SetLogLevel};
use shared_store::SharedStore;
use watches::Watches;

pub use error::BuildError;
pub use files::raise_open_files;
pub use live::{IssuerResult, LiveResult, StoreResult, read_once, try_issuer, try_store};
pub use record::{RecordError, record};

/// Longest wait for the last traces: a hanging collector must not delay a restart.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a reload that still runs when the last connection has closed.
const LAST_RELOAD_TIMEOUT: Duration = Duration::from_secs(1);
/// The reloading task, or its result if nothing reloads.
type Reloading = Either<Ready<Result<Lasting, JoinError>>, JoinHandle<Lasting>>;

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
    lasting: Lasting,
    /// Their first configuration.
    kubernetes: Option<KubernetesSettings>,
    operations: Ops,
    config: Config,
    reloading: Option<(Watcher, Hangups, SetLogLevel)>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl App {
    /// Binds the listeners and builds everything behind them. Nothing is served and no call is made yet.
    ///
    /// # Errors
    /// [`BuildError`] when an address is in use, or a certificate is not usable.
    pub fn build(
        config: Config,
        dropped_log_lines: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let config = files::fitted(config);
        let metrics = Arc::new(Metrics::new(VERSION, REVISION)?);
        let tracer =
            config.tracing.clone().map(|settings| Tracer::start(settings, clock::now)).transpose()?;
        let store = SharedStore::of(&config, &metrics)?;
        let lasting = Lasting::new(tracer, store);
        let shared = lasting.shared_store.shared();
        let gateway = assembly::gateway(&config, &metrics, shared, lasting.cache.clone())?;
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
            tracer: lasting.tracer.clone(),
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
            lasting,
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

    /// Serves until a drain ends. The operations port answers to the end.
    pub async fn run(self) {
        let limits = Live::new(ListenerSettings::from(&self.config.server));
        let server = Live::new(self.config.server.clone());
        let tls = self.api.tls.clone();
        // Ready without the issuer's keys: callers with caller keys need not wait for them.
        self.service_accounts.replace(self.kubernetes);
        let operations = ops::router(self.operations).with_state(());
        let operations = server::serve(self.ops, operations, limits.clone(), self.shutdown.until_cut());
        let operations = tokio::spawn(operations);
        let hooks_addr = self.hooks_addr.map(tracing::field::display);
        tracing::info!(target: targets::LIFECYCLE, event = "ready", api = %self.api_addr, ops = %self.ops_addr, hooks = hooks_addr, "ready");

        // Ready without the store: until it is reachable, each replica works alone.
        self.lasting.shared_store.start();
        let stop_sharing = self.lasting.shared_store.end();
        let stop_watching = CancellationToken::new();
        let _stopped = stop_watching.clone().drop_guard();
        let watches = Watches::start(self.service.current().gateway(), stop_watching.clone());
        let (shutdown, settings) = (self.shutdown.clone(), server.clone());
        let stages = tokio::spawn(async move {
            shutdown.draining().await;
            stop_watching.cancel();
            tracing::info!(target: targets::LIFECYCLE, event = "draining", "draining");
            let settings = settings.current();
            shutdown.drain(settings.drain_delay).await;
            clock::now().monotonic + settings.drain_timeout
        });
        let service = http::api_service(&self.service);
        let hooks_tls = self.hooks.as_ref().and_then(|hooks| hooks.tls.clone());
        let hooks = self.hooks.map(|hooks| {
            let service = http::hooks_service(&self.service);
            tokio::spawn(server::serve(hooks, service, limits.clone(), self.shutdown.clone()))
        });
        let reloads = match self.reloading {
            None => Reloading::Left(std::future::ready(Ok(self.lasting))),
            Some((file_watcher, hangups, set_log_level)) => {
                let reloader = Reloader {
                    watcher: file_watcher,
                    started: self.config.server.clone(),
                    config: self.config,
                    api: self.service,
                    listener: limits.clone(),
                    tls,
                    hooks_tls,
                    service_accounts: self.service_accounts,
                    lasting: self.lasting,
                    server,
                    watches,
                    metrics: self.metrics,
                    set_log_level,
                };
                Reloading::Right(tokio::spawn(reloader.run(hangups, self.shutdown.clone())))
            }
        };
        let drained = server::serve(self.api, service, limits, self.shutdown.clone()).await;
        let drained_hooks = match hooks {
            Some(hooks) => hooks.await.map_or(0, |drained| drained.cut),
            None => 0,
        };

        // Reloads end when the drain begins; one that blocks in a file does not keep the process. Each task can fail only
        // by a panic, which is logged.
        let end = stages.await;
        let reloads = timeout(LAST_RELOAD_TIMEOUT, reloads).await;
        if let (Ok(end), Ok(Ok(Lasting { tracer, shared_store, .. }))) = (end, reloads) {
            if let Some(tracer) = tracer {
                // Traces that the collector does not accept in time are dropped.
                let end = end.min(clock::now().monotonic + FLUSH_TIMEOUT);
                let _ = tokio::time::timeout_at(end.into(), tracer.flush()).await;
            }
            if let Some(shared) = shared_store.shared() {
                shared.leave().await;
            }
        }
        stop_sharing.cancel();
        self.shutdown.begin_cut();
        let _ = operations.await;
        let cut = drained.cut + drained_hooks;
        if cut > 0 {
            tracing::warn!(
                target: targets::LIFECYCLE,
                event = "cut",
                connections = cut,
                "connections were cut after drain_timeout"
            );
        }
        tracing::info!(target: targets::LIFECYCLE, event = "stopped", "stopped");
    }
}
