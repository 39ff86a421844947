//! The record of a run: every answer and log line goes to one file, every secret in use to another. `tests/run` searches
//! the first for the second.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use balance_gateway::telemetry::{self, Telemetry};

/// The folder of the record, if `tests/run` named one.
fn record_directory() -> Option<PathBuf> {
    std::env::var_os("BALANCE_GATEWAY_TEST_OUTPUT").map(PathBuf::from)
}

fn open_record(name: &str) -> Option<File> {
    let path = record_directory()?.join(name);
    Some(OpenOptions::new().create(true).append(true).open(path).unwrap())
}

/// Adds to the record with a single write, so that lines of parallel tests do not mix.
pub(crate) fn record(name: &str, text: &str) {
    // An empty secret would be found in every line.
    let lines: String = text.lines().filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect();
    if !lines.is_empty()
        && let Some(mut file) = open_record(name)
    {
        file.write_all(lines.as_bytes()).unwrap();
    }
}

/// Logs of all tests of this process go to the record, debug lines too.
pub(super) fn log_to_the_record() {
    static TELEMETRY: OnceLock<Mutex<Option<Telemetry>>> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let level = tracing::level_filters::LevelFilter::DEBUG;
        let show = std::panic::take_hook();
        let telemetry = open_record("seen").and_then(|file| telemetry::start(level, level, file).ok());
        // With only the logging hook, the output would not say why a test failed.
        let log = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            log(panic);
            show(panic);
        }));
        Mutex::new(telemetry)
    });
}
