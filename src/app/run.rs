//! Serves until a drain ends: listeners, reloads, watches, and an orderly end.

use std::future::Ready;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::App;
use super::process_state::ProcessState;
use super::reload::Reloader;
use super::watches::Watches;
use crate::clock;
use crate::http::{self, ServerSettings, ops};
use crate::live::Live;
use crate::server::{self, ListenerSettings};
use crate::shutdown::Shutdown;
use crate::telemetry::targets;

/// Longest wait for the last traces: a hanging collector must not delay a restart.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a reload that still runs when the last connection has closed.
const LAST_RELOAD_TIMEOUT: Duration = Duration::from_secs(1);
/// The reloading task, or its result if nothing reloads.
type Reloading = Either<Ready<Result<ProcessState, JoinError>>, JoinHandle<ProcessState>>;

impl App {
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
        self.process_state.shared_store.start();
        let stop_sharing = self.process_state.shared_store.end();
        let stop_watching = CancellationToken::new();
        let _stopped = stop_watching.clone().drop_guard();
        let watches = Watches::start(self.service.current().gateway(), stop_watching.clone());
        let stages = tokio::spawn(drain_in_stages(self.shutdown.clone(), server.clone(), stop_watching));
        let service = http::api_service(&self.service);
        let hooks_tls = self.hooks.as_ref().and_then(|hooks| hooks.tls.clone());
        let hooks = self.hooks.map(|hooks| {
            let service = http::hooks_service(&self.service);
            tokio::spawn(server::serve(hooks, service, limits.clone(), self.shutdown.clone()))
        });
        let reloads = match self.reloading {
            None => Reloading::Left(std::future::ready(Ok(self.process_state))),
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
                    process_state: self.process_state,
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

        // Reloading ends when the drain begins. A reload that is blocked while it reads a file does not delay the exit.
        // A task fails only if it panics, and panics are logged.
        let end = stages.await;
        let reloads = timeout(LAST_RELOAD_TIMEOUT, reloads).await;
        if let (Ok(end), Ok(Ok(process_state))) = (end, reloads) {
            leave(process_state, end).await;
        }
        stop_sharing.cancel();
        self.shutdown.begin_cut();
        let _ = operations.await;
        log_cut(drained.cut + drained_hooks);
        tracing::info!(target: targets::LIFECYCLE, event = "stopped", "stopped");
    }
}

/// Runs the stages of the drain once the shutdown begins. Returns the drain's deadline.
async fn drain_in_stages(
    shutdown: Shutdown,
    settings: Live<ServerSettings>,
    stop_watching: CancellationToken,
) -> Instant {
    shutdown.draining().await;
    stop_watching.cancel();
    tracing::info!(target: targets::LIFECYCLE, event = "draining", "draining");
    let settings = settings.current();
    shutdown.drain(settings.drain_delay).await;
    clock::now().monotonic + settings.drain_timeout
}

/// Sends the last traces and leaves the shared store.
async fn leave(process_state: ProcessState, end: Instant) {
    let ProcessState { tracer, shared_store, .. } = process_state;
    if let Some(tracer) = tracer {
        // Traces that the collector does not accept in time are dropped.
        let end = end.min(clock::now().monotonic + FLUSH_TIMEOUT);
        let _ = tokio::time::timeout_at(end.into(), tracer.flush()).await;
    }
    if let Some(shared) = shared_store.shared() {
        shared.leave().await;
    }
}

fn log_cut(connections: usize) {
    if connections > 0 {
        tracing::warn!(
            target: targets::LIFECYCLE,
            event = "cut",
            connections,
            "connections were cut after drain_timeout"
        );
    }
}
