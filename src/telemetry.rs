//! Structured logs on standard output that never block a request: a full pipe costs lines, which are counted.

pub mod targets;

use std::io::Write;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Lines that wait for standard output; the default of 128,000 costs 4 MB at start.
const BUFFERED_LINES: usize = 8_192;

/// Writes the lines out while it lives; dropped last in `main`.
#[must_use]
#[derive(Debug)]
pub struct Telemetry {
    dropped: ErrorCounter,
    filter: reload::Handle<Targets, Registry>,
    lifecycle: LevelFilter,
    _guard: WorkerGuard,
}

/// Starts logging for this process; the events of its life are logged down to `lifecycle`.
///
/// # Errors
/// When the process logs already.
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

/// Down to which level each part of the program is logged.
fn targets(level: LevelFilter, lifecycle: LevelFilter) -> Targets {
    Targets::new()
        .with_target("balance_gateway", level)
        .with_target(targets::DENIED, level.max(LevelFilter::WARN))
        .with_target(targets::REQUESTS, level.max(LevelFilter::INFO))
        .with_target(targets::LIFECYCLE, level.max(lifecycle))
        .with_default(level.min(LevelFilter::WARN))
}

impl Telemetry {
    /// Counts the lines that standard output did not take.
    pub fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let dropped = self.dropped.clone();
        move || dropped.dropped_lines() as u64
    }

    /// Changes the level from the next event on.
    pub fn set_level(&self) -> impl Fn(LevelFilter) + Send + Sync + use<> {
        let (filter, lifecycle) = (self.filter.clone(), self.lifecycle);
        move |level| {
            // It fails where nothing is logged any more.
            let _ = filter.reload(targets(level, lifecycle));
        }
    }
}

/// A panic is a line like any other. Its message is ours and holds no secret; its place is enough to find it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "a panic");
    }));
}
