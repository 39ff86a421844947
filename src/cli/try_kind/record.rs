//! Records the first body of an account: one call, saved as it came.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use crate::app;
use crate::cli::{block_on, print, print_error_line, report_error};
use crate::config;

/// Only the owner reads and writes.
const MODE: u32 = 0o600;

pub(super) fn run(path: &Path, account: &str, file: &Path) -> ExitCode {
    let config = match config::load_to_record(path, account) {
        Ok(config) => config,
        Err(errors) => {
            print_error_line(&errors.to_string());
            return ExitCode::from(2);
        }
    };
    let Some(chosen) = config.accounts.first() else { return refused("unknown account") };
    if file.exists() {
        return refused(&format!("{} already exists; it was not changed", file.display()));
    }
    let recorded = block_on(app::record(&config, &chosen.settings.name));
    match recorded {
        Ok(Ok(body)) => save(file, &body),
        Ok(Err(error)) => refused(&error.to_string()),
        Err(error) => report_error(&error),
    }
}

fn save(file: &Path, body: &[u8]) -> ExitCode {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(MODE).open(file);
    match opened.and_then(|mut opened| opened.write_all(body)) {
        Ok(()) => print(&format!("saved        {}, {} bytes\n", file.display(), body.len())),
        Err(error) => refused(&format!("{}: {error}", file.display())),
    }
}

fn refused(text: &str) -> ExitCode {
    print_error_line(&format!("balance-gateway: {text}"));
    ExitCode::FAILURE
}
