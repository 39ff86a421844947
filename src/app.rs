//! The composition root: configuration in, running gateway out. The only file that knows every module.

mod live;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::domain::{ProviderName, Selector};
use crate::gateway::{Account, Gateway};
use crate::http::listener::{self, ListenerSettings};
use crate::http::ops::{self, Ops};
use crate::http::{self, Api, ServerSettings, clock};
use crate::metrics::{Metrics, MetricsError};
use crate::shutdown::Shutdown;
use crate::upstream::{ClientError, Upstream, UpstreamProvider};

pub use live::{LiveResult, read_once};

/// The source revision, when the build was told.
const REVISION: &str = match option_env!("BALANCE_GATEWAY_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// A gateway that is bound and may run.
pub struct App {
    api: TcpListener,
    ops: TcpListener,
    api_addr: SocketAddr,
    ops_addr: SocketAddr,
    service: Arc<Api>,
    operations: Ops,
    settings: ServerSettings,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

/// Why a gateway cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A provider's client cannot be made.
    #[error("providers.{0}: {1}")]
    Client(ProviderName, #[source] ClientError),
    /// A listen address cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// A defect in the metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] MetricsError),
}

impl App {
    /// Binds both listeners and makes everything behind them; nothing is served and nobody is asked yet.
    ///
    /// # Errors
    /// [`BuildError`] when an address is taken, or a certificate cannot be used.
    pub fn build(
        config: Config,
        dropped_log_lines: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?);
        let gateway = Arc::new(gateway(&config, &metrics)?);
        let settings = config.server;
        let bind = |addr| listener::bind(addr).map_err(|error| BuildError::Bind(addr, error));
        let (api, ops) = (bind(settings.api)?, bind(settings.ops)?);
        let service =
            Arc::new(Api::new(Arc::clone(&gateway), config.callers, &settings, Arc::clone(&metrics)));
        let shutdown = Shutdown::default();
        let operations = Ops {
            gateway,
            metrics: Arc::clone(&metrics),
            shutdown: shutdown.clone(),
            dropped_log_lines: Arc::new(dropped_log_lines),
        };
        metrics.config_last_reload_success.set(unix_seconds());
        let bound = |listener: &TcpListener, wanted| listener.local_addr().unwrap_or(wanted);
        Ok(Self {
            api_addr: bound(&api, settings.api),
            ops_addr: bound(&ops, settings.ops),
            api,
            ops,
            service,
            operations,
            settings,
            metrics,
            shutdown,
        })
    }

    /// Where callers connect: the real port.
    #[must_use]
    pub fn api_addr(&self) -> SocketAddr {
        self.api_addr
    }

    /// Where probes and Prometheus connect: the real port.
    #[must_use]
    pub fn ops_addr(&self) -> SocketAddr {
        self.ops_addr
    }

    /// The handle that begins the drain.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Serves until a drain has begun and is over. The operations side answers to the end.
    pub async fn run(self) {
        let limits = ListenerSettings::from(&self.settings);
        let operations = ops::router(self.operations).with_state(());
        let operations = listener::serve(self.ops, operations, limits, None, self.shutdown.until_cut());
        let operations = tokio::spawn(operations);
        tracing::info!(event = "ready", api = %self.api_addr, ops = %self.ops_addr, "ready");

        let (shutdown, delay) = (self.shutdown.clone(), self.settings.drain_delay);
        let stages = tokio::spawn(async move {
            shutdown.draining().await;
            tracing::info!(event = "draining", "draining");
            shutdown.drain(delay).await;
        });
        let service = http::api_service(&self.service);
        let drained =
            listener::serve(self.api, service, limits, Some(self.metrics), self.shutdown.clone()).await;

        self.shutdown.begin_cut();
        // Neither can fail but by a panic, which is logged where it happens.
        let _ = tokio::join!(operations, stages);
        if drained.cut > 0 {
            tracing::warn!(
                event = "cut",
                connections = drained.cut,
                "connections were cut after drain_timeout"
            );
        }
        tracing::info!(event = "stopped", "stopped");
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn unix_seconds() -> f64 {
    clock::now().wall.as_millisecond() as f64 / Duration::from_secs(1).as_millis() as f64
}

/// Makes every provider and account of a configuration.
fn gateway(config: &Config, metrics: &Metrics) -> Result<Gateway, BuildError> {
    let mut providers = std::collections::BTreeMap::new();
    for provider in &config.providers {
        let name = provider.settings.name.clone();
        let upstream = UpstreamProvider::new(provider.settings.clone(), metrics.provider(&name))
            .map_err(|error| BuildError::Client(name.clone(), error))?;
        providers.insert(name, Arc::new(upstream));
    }
    let account = |account: &crate::config::AccountConfig| {
        let settings = &account.settings;
        let provider = Arc::clone(providers.get(&settings.provider)?);
        let selectors: &[Selector] = &settings.selectors;
        let credential = account.credential.clone();
        let max_age = settings.limits.max_age;
        let upstream = Upstream::new(settings.name.clone(), provider, credential, selectors, max_age);
        Some(Account::new(settings.clone(), Arc::new(upstream)))
    };
    let accounts = config.accounts.iter().filter_map(account).collect();
    Ok(Gateway::new(accounts, providers.into_values().collect(), clock::now))
}
