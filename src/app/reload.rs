//! Applies a changed configuration while the gateway serves: as a whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::error::BuildError;
use super::process_state::ProcessState;
use super::watches::Watches;
use super::{assembly, files, kubernetes};
use crate::auth::ServiceAccounts;
use crate::clock;
use crate::config::{Change, Config, Level, Watcher};
use crate::http::{Api, ApiParts, ServerSettings};
use crate::limits::Limiter;
use crate::live::Live;
use crate::metrics::{Metrics, ReloadResult};
use crate::server::ListenerSettings;
use crate::server::TlsSettings;
use crate::shutdown::{Hangups, Shutdown};
use crate::telemetry::targets;
use crate::trace::Tracer;

/// Interval between two checks of the files. A change is loaded when two checks in a row see the same contents.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Changes the log level.
pub(super) type SetLogLevel = Box<dyn Fn(Level) + Send + Sync>;

/// The parts of the running gateway that a reload needs.
pub(super) struct Reloader {
    pub(super) watcher: Watcher,
    /// The configuration in force.
    pub(super) config: Config,
    pub(super) api: Live<Api>,
    pub(super) listener: Live<ListenerSettings>,
    pub(super) tls: Option<Live<TlsSettings>>,
    pub(super) hooks_tls: Option<Live<TlsSettings>>,
    pub(super) service_accounts: Arc<ServiceAccounts>,
    pub(super) process_state: ProcessState,
    pub(super) server: Live<ServerSettings>,
    /// The settings that the listeners were bound with.
    pub(super) started: ServerSettings,
    pub(super) watches: Watches,
    pub(super) metrics: Arc<Metrics>,
    pub(super) set_log_level: SetLogLevel,
}

impl Reloader {
    /// Reloads on SIGHUP and when a file changes, until the drain begins. Returns the process state, for the end of the
    /// process.
    pub(super) async fn run(mut self, mut hangups: Hangups, shutdown: Shutdown) -> ProcessState {
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_signalled = tokio::select! {
                () = shutdown.draining() => return self.process_state,
                () = hangups.next() => true,
                _ = checks.tick() => false,
            };
            let read = tokio::select! {
                () = shutdown.draining() => return self.process_state,
                read = self.read(is_signalled) => read,
            };
            // A panic is logged; the files are read again at the next check.
            if let Ok((watcher, change)) = read {
                self.watcher = watcher;
                self.act_on(change).await;
            }
        }
    }

    /// Reads the files on a blocking thread, if they changed or if a signal asks for it.
    fn read(&self, is_signalled: bool) -> JoinHandle<(Watcher, Option<Change>)> {
        let mut watcher = self.watcher.clone();
        tokio::task::spawn_blocking(move || {
            let change = (is_signalled || watcher.has_settled_change()).then(|| watcher.reload()).flatten();
            (watcher, change)
        })
    }

    /// Applies a loaded configuration, or logs why there is none.
    async fn act_on(&mut self, change: Option<Change>) {
        match change {
            None => {}
            Some(Change::Rejected(errors)) => self.reject(&errors),
            Some(Change::Postponed) => tracing::warn!(
                target: targets::RELOAD,
                event = "config_postponed",
                "out of file descriptors: the configuration is read again every second"
            ),
            Some(Change::Loaded(config)) => {
                if let Err(error) = self.apply(*config).await {
                    self.watcher.note_rejected();
                    self.reject(&error);
                }
            }
        }
    }

    fn reject(&self, error: &(impl std::error::Error + 'static)) {
        self.metrics.reloaded(ReloadResult::Rejected);
        tracing::error!(
            target: targets::RELOAD,
            event = "config_rejected",
            error = error as &dyn std::error::Error,
            "the new configuration is rejected; the previous one stays in force"
        );
    }

    async fn apply(&mut self, config: Config) -> Result<(), BuildError> {
        let config = files::fitted(config);
        let api = self.api.current();
        let tracer = match (&config.tracing, &self.process_state.tracer) {
            (Some(settings), Some(tracer)) if tracer.settings() == settings => Some(tracer.clone()),
            (settings, _) => settings
                .clone()
                .map(|settings| Tracer::start(settings, self.process_state.clock))
                .transpose()?,
        };
        let trusted = kubernetes::settings(&config)?;
        let changed = config.changes_since(&self.config);
        let has_changed = |section: &str| changed.iter().any(|changed| changed == section);
        // A store with other settings does not hold what the cache knows, so it gets an empty cache.
        let replicas = |config: &Config| config.shared.as_ref().map(|shared| shared.replicas);
        let store = if has_changed("shared") || replicas(&config) != replicas(&self.config) {
            Some(self.process_state.shared_store.reconfigured(
                &config,
                self.process_state.clock,
                &self.metrics,
            )?)
        } else {
            None
        };
        let shared = store.as_ref().unwrap_or(&self.process_state.shared_store).shared();
        let cache = self.process_state.next_cache(tracer.clone(), store.as_ref());
        let gateway = api.gateway();
        let gateway =
            assembly::reconfigured(gateway, &self.config, &config, &self.metrics, shared, cache.clone())
                .await?;
        let gateway = Arc::new(gateway);
        self.process_state.cache = cache;
        if let Some(store) = store {
            self.process_state.shared_store.retire();
            store.start();
            self.process_state.shared_store = store;
        }
        self.watches.restart(&gateway);
        self.process_state.tracer.clone_from(&tracer);
        self.api.replace(api.reconfigured(ApiParts {
            gateway,
            callers: config.callers.clone(),
            hooks: config.hooks.clone(),
            server: &config.server,
            limiter: &Limiter::new(self.process_state.shared_store.shared().cloned()),
            tracer,
        }));
        api.retire();
        if has_changed("auth.kubernetes") {
            self.service_accounts.replace(trusted);
        }
        self.listener.replace(ListenerSettings::from(&config.server));
        self.replace_certificates(&config);
        self.server.replace(config.server.clone());
        (self.set_log_level)(config.log.level);
        self.report(&config, &changed);
        self.config = config;
        Ok(())
    }

    /// Replaces the certificates of the listeners.
    fn replace_certificates(&self, config: &Config) {
        let listeners = [(&self.tls, &config.server.tls), (&self.hooks_tls, &config.server.hooks_tls)];
        for (tls, settings) in listeners {
            if let (Some(tls), Some(settings)) = (tls, settings) {
                tls.replace(settings.clone());
            }
        }
    }

    /// Records in the metrics and the log that a configuration is in force. Also logs which of its keys were not read,
    /// and which need a restart.
    fn report(&self, config: &Config, changed: &[String]) {
        self.metrics.reloaded(ReloadResult::Ok);
        note_success(&self.metrics);
        self.metrics.set_certificate_expiries(config.own_expiries());
        tracing::info!(
            target: targets::RELOAD,
            event = "config_reloaded",
            changed = changed.join(", "),
            "the new configuration is in force"
        );
        for unread in config.unread() {
            let file = unread.file.as_ref().map(|file| file.display().to_string());
            tracing::warn!(target: targets::RELOAD, event = "config_unread", key = unread.key, file, "{}", unread.problem);
        }
        for key in needs_restart(&self.started, &config.server) {
            tracing::warn!(target: targets::RELOAD, event = "config_restart", key, "takes effect with the next restart");
        }
    }
}

/// The configuration keys that need a restart.
fn needs_restart(started: &ServerSettings, now: &ServerSettings) -> impl Iterator<Item = &'static str> {
    let keys = [
        ("server.api", started.api != now.api),
        ("server.ops", started.ops != now.ops),
        ("server.tls", started.tls.is_some() != now.tls.is_some()),
        ("server.hooks", started.hooks != now.hooks),
        ("server.hooks_tls", started.hooks_tls.is_some() != now.hooks_tls.is_some()),
    ];
    keys.into_iter().filter_map(|(key, has_changed)| has_changed.then_some(key))
}

/// Records in the metrics that a configuration is in force.
pub(super) fn note_success(metrics: &Metrics) {
    metrics.config_last_reload_success.set(unix_seconds());
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has only floating-point numbers")]
fn unix_seconds() -> f64 {
    clock::now().wall.as_millisecond() as f64 / Duration::from_secs(1).as_millis() as f64
}
