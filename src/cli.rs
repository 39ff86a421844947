//! The commands, one file each. Exit code 0: done; 1: failed at run time; 2: usage or configuration error.

mod balances;
mod check;
mod client;
mod new_key;
mod openapi;
mod report;
mod sandbox;
mod serve;
mod try_kind;

use std::io::Write;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::{Parser, Subcommand};

use crate::config::{self, Config};

/// The configuration when neither the option nor the environment names one.
const DEFAULT_CONFIG: &str = "config/gateway.toml";

/// One internal HTTP service in front of payment providers' balance APIs.
#[derive(Debug, Parser)]
#[command(name = "balance-gateway", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve(ConfigFile),
    /// Run the gateway in front of five simulated providers, to try it out; needs no files and no network.
    Sandbox(sandbox::SandboxArguments),
    /// Validate a configuration and print it with secrets masked.
    Check(check::CheckArguments),
    /// Print a new caller key and its SHA-256 for the configuration.
    NewKey,
    /// Print the balances of a running gateway as a table.
    Balances(balances::BalancesArguments),
    /// Parse a recorded body with a kind of provider, offline, or record a first body.
    Try(try_kind::TryArguments),
    /// Write the reconciliation report of a running gateway to a file or to standard output.
    Report(report::ReportArguments),
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long = "config", value_name = "FILE", env = "BALANCE_GATEWAY_CONFIG", default_value = DEFAULT_CONFIG)]
    path: PathBuf,
}

impl ConfigFile {
    /// Loads the file, or prints every mistake to standard error.
    fn load(&self) -> Result<Config, ExitCode> {
        // Reading ten thousand accounts leaves gaps in memory between their settings. So a separate thread reads the
        // file, and only a copy of its result is kept.
        let read = thread::scope(|scope| scope.spawn(|| config::load(&self.path)).join());
        let config = read.unwrap_or_else(|panic| resume_unwind(panic));
        config.clone().map_err(|errors| report_config_errors(&errors))
    }

    /// Loads the file without reading the files and variables that it names.
    fn load_without_secrets(&self) -> Result<Config, ExitCode> {
        config::load_without_secrets(&self.path).map_err(|errors| report_config_errors(&errors))
    }
}

/// Runs the command of this process's command line.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(file) => serve::run(&file),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::NewKey => new_key::run(),
        Command::Balances(arguments) => balances::run(&arguments),
        Command::Try(arguments) => try_kind::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Openapi => openapi::run(),
    }
}

/// Prints the mistakes of a configuration.
fn report_config_errors(errors: &config::ConfigErrors) -> ExitCode {
    print_error_line(&errors.to_string());
    ExitCode::from(2)
}

/// Prints which argument cannot be used.
fn report_usage_error(error: &dyn std::error::Error) -> ExitCode {
    report_error(error);
    ExitCode::from(2)
}

/// Prints an error and its causes.
fn report_error(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        // The text of some errors already ends with their cause.
        let cause_text = source.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        cause = source.source();
    }
    print_error_line(&format!("balance-gateway: {text}"));
    ExitCode::FAILURE
}

/// Prints a command's output, and fails if standard output is closed.
fn print(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_error(&error),
    }
}

/// Writes to standard error. A failure to write is ignored: there is no other place to report it.
fn print_error_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs a command that uses the network. A thread that is still blocked at the end, for example in a name look-up, does
/// not delay the exit.
fn block_on<T>(command: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(command);
    runtime.shutdown_background();
    Ok(output)
}
