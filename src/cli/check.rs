//! `check`: validates what `serve` would, shows what is in effect, warns of what is unwise.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::ConfigFile;
use crate::app::{self, LiveResult};
use crate::domain::{BalanceType, Currency};

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Also read each balance once; prints status, currency and latency, never an amount.
    #[arg(long)]
    live: bool,
}

pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    let config = match arguments.file.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let printed = super::print(config.masked());
    for warning in config.warnings() {
        super::complain(&format!("warning: {warning}"));
    }
    if !arguments.live || printed != ExitCode::SUCCESS {
        return printed;
    }
    let read = super::runtime().map(|runtime| runtime.block_on(app::read_once(&config)));
    match read {
        Ok(Ok(results)) => report(&results),
        Ok(Err(error)) => super::failed(&error),
        Err(error) => super::failed(&error),
    }
}

fn report(results: &[LiveResult]) -> ExitCode {
    let mut text = String::from("\n");
    for LiveResult { account, currency, r#type, failure, took } in results {
        let currency = currency.as_ref().map_or("-", Currency::as_str);
        let r#type = r#type.as_ref().map_or("", BalanceType::as_str);
        let status = failure.as_deref().unwrap_or("ok");
        let millis = took.as_millis();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "live  {account}  {currency} {type}  {millis} ms  {status}");
    }
    let printed = super::print(&text);
    let has_failed = results.iter().any(|result| result.failure.is_some());
    if has_failed { ExitCode::FAILURE } else { printed }
}
