//! `balances`: asks a running gateway for every balance of the caller, once or every few seconds.

mod answer;
mod table;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use super::client::{Client, ClientError, GatewayArguments};
use answer::{BalancesBody, ask};

/// Time between two requests of `--watch`.
const INTERVAL: Duration = Duration::from_secs(5);
/// Moves to the first line of the terminal and clears everything below.
const CLEAR: &str = "\x1b[H\x1b[J";

#[derive(Debug, clap::Args)]
pub(super) struct BalancesArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
    /// Repeat every 5 seconds, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print the JSON of the gateway unchanged.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &BalancesArguments) -> ExitCode {
    let client = match Client::new(&arguments.gateway) {
        Ok(client) => client,
        Err(error) => return super::report_usage_error(&error),
    };
    if arguments.watch {
        let watched = super::block_on(watch(&client, arguments.json));
        return watched.unwrap_or_else(|error| super::report_error(&error));
    }
    match super::block_on(ask(&client)) {
        Ok(Ok(answer)) => {
            let shown = super::print(&text(&answer, arguments.json));
            if answer.is_complete { shown } else { ExitCode::FAILURE }
        }
        Ok(Err(error)) => super::report_error(&error),
        Err(error) => super::report_error(&error),
    }
}

/// Shows each answer in place of the previous one. Keeps asking while the gateway is down or overloaded, but ends when
/// the key is unknown.
async fn watch(client: &Client, is_json: bool) -> ExitCode {
    let clear = if std::io::stdout().is_terminal() && !is_json { CLEAR } else { "" };
    loop {
        let pause = match ask(client).await {
            // Standard output is closed.
            Ok(answer) if show(&answer, is_json, clear) != ExitCode::SUCCESS => return ExitCode::FAILURE,
            Ok(_) => INTERVAL,
            Err(error @ ClientError::Unauthenticated) => return super::report_error(&error),
            Err(error) => {
                super::print(clear);
                super::report_error(&error);
                error.retry_after().map_or(INTERVAL, |wait| wait.max(INTERVAL))
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Shows one of many answers: JSON on a line of its own.
fn show(answer: &BalancesBody, is_json: bool, before: &str) -> ExitCode {
    let end = if is_json { "\n" } else { "" };
    super::print(&format!("{before}{}{end}", text(answer, is_json)))
}

/// The JSON of the gateway as it came, or a table.
fn text(answer: &BalancesBody, is_json: bool) -> String {
    if is_json { answer.body.clone() } else { table::render(answer, std::io::stdout().is_terminal()) }
}
