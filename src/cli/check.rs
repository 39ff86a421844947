//! `check`: validates what `serve` would, shows what is in effect, warns of what is unwise.

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
    print!("{}", config.masked());
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    if !arguments.live {
        return ExitCode::SUCCESS;
    }
    let read = super::runtime().map(|runtime| runtime.block_on(app::read_once(&config)));
    match read {
        Ok(Ok(results)) => report(&results),
        Ok(Err(error)) => super::failed(&error),
        Err(error) => super::failed(&error),
    }
}

fn report(results: &[LiveResult]) -> ExitCode {
    println!();
    for LiveResult { account, currency, r#type, failure, took } in results {
        let currency = currency.as_ref().map_or("-", Currency::as_str);
        let r#type = r#type.as_ref().map_or("", BalanceType::as_str);
        let status = failure.as_deref().unwrap_or("ok");
        println!("live  {account}  {currency} {type}  {} ms  {status}", took.as_millis());
    }
    let has_failed = results.iter().any(|result| result.failure.is_some());
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
