//! Structured logs on standard output. They never block a request: when the pipe is full, lines are dropped and
//! counted.

pub mod targets;

use std::io::Write;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The target of this file's log lines: a constant, so that moving the file changes none.
const LOG_TARGET: &str = "balance_gateway::telemetry";
/// Lines that may wait for standard output; the default of 128,000 takes 4 MB at start.
const BUFFERED_LINES: usize = 8_192;

/// Writes log lines while it exists; a command drops it last.
#[must_use]
#[derive(Debug)]
pub struct Telemetry {
    dropped: ErrorCounter,
    filter: reload::Handle<Targets, Registry>,
    lifecycle: LevelFilter,
    _guard: WorkerGuard,
}

/// Starts logging for this process. Events of its lifecycle are logged down to the level `lifecycle`, even if `level`
/// is stricter.
///
/// # Errors
/// When logging was already started.
pub fn start(
    level: LevelFilter,
    lifecycle: LevelFilter,
    output: impl Write + Send + 'static,
) -> Result<Telemetry, TryInitError> {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES).finish(output);
    let dropped = writer.error_counter();
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer);
    let (layer, filter) = reload::Layer::new(targets(level, lifecycle));
    tracing_subscriber::registry().with(layer).with(lines).try_init()?;
    log_panics();
    Ok(Telemetry { dropped, filter, lifecycle, _guard: guard })
}

/// The most detailed level that is logged for each target.
fn targets(level: LevelFilter, lifecycle: LevelFilter) -> Targets {
    Targets::new()
        .with_target("balance_gateway", level)
        .with_target(targets::DENIED, level.max(LevelFilter::WARN))
        .with_target(targets::REQUESTS, level.max(LevelFilter::INFO))
        .with_target(targets::LIFECYCLE, level.max(lifecycle))
        .with_default(level.min(LevelFilter::WARN))
}

impl Telemetry {
    /// Returns a function that counts the dropped lines.
    pub fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let dropped = self.dropped.clone();
        move || dropped.dropped_lines() as u64
    }

    /// Returns a function that changes the level from the next event on.
    pub fn set_level(&self) -> impl Fn(LevelFilter) + Send + Sync + use<> {
        let (filter, lifecycle) = (self.filter.clone(), self.lifecycle);
        move |level| {
            // Fails only after logging has ended.
            let _ = filter.reload(targets(level, lifecycle));
        }
    }
}

/// Logs panics like other events. Their messages are our own and contain no secret.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(target: LOG_TARGET, place, message, "panic");
    }));
}
