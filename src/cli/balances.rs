//! `balances`: prints every balance of a caller of a running gateway, once or every few seconds.

mod ask;
mod table;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use ask::{Answer, AskError, Client};

/// Time between two requests of `--watch`.
const INTERVAL: Duration = Duration::from_secs(5);
/// Clears the terminal and moves to its first line.
const CLEAR: &str = "\x1b[H\x1b[J";

#[derive(Debug, clap::Args)]
pub(super) struct BalancesArguments {
    /// The URL of the gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// The caller key.
    #[arg(long, env = "BALANCE_GATEWAY_KEY", hide_env_values = true)]
    key: SecretString,
    /// Repeat every 5 seconds, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print the gateway's JSON unchanged.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &BalancesArguments) -> ExitCode {
    let client = match Client::new(&arguments.url, &arguments.key) {
        Ok(client) => client,
        Err(error) => {
            super::failed(&error);
            return ExitCode::from(2);
        }
    };
    match super::runtime() {
        Ok(runtime) if arguments.watch => runtime.block_on(watch(&client, arguments.json)),
        Ok(runtime) => match runtime.block_on(client.ask()) {
            Ok(answer) if answer.is_complete => show(&answer, arguments.json, ""),
            Ok(answer) => {
                show(&answer, arguments.json, "");
                ExitCode::FAILURE
            }
            Err(error) => super::failed(&error),
        },
        Err(error) => super::failed(&error),
    }
}

/// Replaces each answer on the screen by the next. It continues when the gateway is unreachable or full, and ends when
/// the key is unknown.
async fn watch(client: &Client, is_json: bool) -> ExitCode {
    let clear = if std::io::stdout().is_terminal() && !is_json { CLEAR } else { "" };
    loop {
        let pause = match client.ask().await {
            // The reader has closed the pipe.
            Ok(answer) if show(&answer, is_json, clear) != ExitCode::SUCCESS => return ExitCode::FAILURE,
            Ok(_) => INTERVAL,
            Err(error @ AskError::Unauthenticated) => return super::failed(&error),
            Err(error) => {
                super::print(clear);
                super::failed(&error);
                error.retry_after().map_or(INTERVAL, |wait| wait.max(INTERVAL))
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn show(answer: &Answer, is_json: bool, before: &str) -> ExitCode {
    let is_coloured = std::io::stdout().is_terminal();
    let text = if is_json { format!("{}\n", answer.body) } else { table::render(answer, is_coloured) };
    super::print(&format!("{before}{text}"))
}
