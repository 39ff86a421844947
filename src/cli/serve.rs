//! `serve`: the service, from the configuration to the end of the drain.

use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use super::ConfigFile;
use crate::app::{App, raise_open_files};
use crate::clock;
use crate::config::{Config, Level, Watcher};
use crate::shutdown::{Hangups, Signals};
use crate::telemetry;

/// The target of this file's log lines: a constant, so that moving the file changes none.
const LOG_TARGET: &str = "balance_gateway::cli::serve";

pub(super) fn run(file: &ConfigFile) -> ExitCode {
    let config = match file.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let telemetry = match telemetry::start(filter(config.log.level), LevelFilter::INFO, std::io::stdout()) {
        Ok(telemetry) => telemetry,
        Err(error) => return super::report_error(&error),
    };
    let (dropped, set_level) = (telemetry.dropped_lines(), telemetry.set_level());
    let set_level = move |level| set_level(filter(level));
    let watcher = Watcher::new(&file.path, &config);
    let served = super::block_on(serve(config, watcher, dropped, set_level)).and_then(|served| served);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::report_error(&error),
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

/// Serves until a signal, drains, and ends; a second signal ends the process at once.
async fn serve(
    config: Config,
    watcher: Watcher,
    dropped_log_lines: impl Fn() -> u64 + Send + Sync + 'static,
    set_log_level: impl Fn(Level) + Send + Sync + 'static,
) -> std::io::Result<()> {
    // Before anything slow: without its handler, SIGTERM kills the process.
    let (mut signals, hangups) = (Signals::install()?, Hangups::install()?);
    raise_open_files();
    let app = App::build(config, clock::now, dropped_log_lines).map_err(std::io::Error::other)?;
    until_second_signal(app.reloading(watcher, hangups, set_log_level), &mut signals).await;
    Ok(())
}

/// Runs the gateway until the drain after the first signal ends, or until a second signal.
pub(super) async fn until_second_signal(app: App, signals: &mut Signals) {
    let shutdown = app.shutdown();
    let running = app.run();
    tokio::pin!(running);
    tokio::select! {
        () = &mut running => return,
        () = signals.next() => shutdown.begin_drain(),
    }
    tokio::select! {
        () = running => {}
        () = signals.next() => tracing::warn!(target: LOG_TARGET, "stopped at once by a second signal"),
    }
}
