//! `check`: validates a configuration as `serve` does, shows the effective values, warns of unwise ones.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::ConfigFile;
use crate::app::{self, BuildError, IssuerResult, LiveResult, StoreResult};
use crate::clock;
use crate::domain::{BalanceType, Currency};

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Also read each balance once, fetch the issuer's keys, and try the shared store; prints status, currency and latency, never an amount.
    #[arg(long)]
    live: bool,
    /// Do not read secrets, certificates and CAs from files and environment variables. For CI, where they are not available.
    #[arg(long, conflicts_with = "live")]
    without_secrets: bool,
}

pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    let loaded =
        if arguments.without_secrets { arguments.file.load_without_secrets() } else { arguments.file.load() };
    let config = match loaded {
        Ok(config) => config,
        Err(code) => return code,
    };
    let printed = super::print(&config.masked());
    for warning in config.warnings().iter().chain(&config.expiring(clock::now().wall)) {
        super::print_error_line(&format!("warning: {warning}"));
    }
    if !arguments.live || printed != ExitCode::SUCCESS {
        return printed;
    }
    let tried = super::block_on(async {
        let balances = app::read_once(&config).await?;
        Ok::<_, BuildError>((balances, app::try_issuer(&config).await, app::try_store(&config).await))
    });
    match tried {
        Ok(Ok((results, issuer, store))) => report(&results, issuer.as_ref(), store.as_ref()),
        Ok(Err(error)) => super::report_error(&error),
        Err(error) => super::report_error(&error),
    }
}

fn report(results: &[LiveResult], issuer: Option<&IssuerResult>, store: Option<&StoreResult>) -> ExitCode {
    let mut text = String::from("\n");
    for LiveResult { account, currency, r#type, failure, took } in results {
        let currency = currency.as_ref().map_or("-", Currency::as_str);
        let r#type = r#type.as_ref().map_or("", BalanceType::as_str);
        let status = failure.as_deref().unwrap_or("ok");
        let millis = took.as_millis();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "live  {account}  {currency} {type}  {millis} ms  {status}");
    }
    if let Some(IssuerResult { failure, took }) = issuer {
        let status = failure.as_deref().unwrap_or("ok");
        let _ = writeln!(text, "live  auth.kubernetes.jwks  {} ms  {status}", took.as_millis());
    }
    if let Some(StoreResult { store, failures, took }) = store {
        let statuses = if failures.is_empty() { &["ok".to_owned()] } else { failures.as_slice() };
        for status in statuses {
            let _ = writeln!(text, "live  shared  {store}  {} ms  {status}", took.as_millis());
        }
    }
    let printed = super::print(&text);
    let has_failed = results.iter().any(|result| result.failure.is_some())
        || issuer.is_some_and(|issuer| issuer.failure.is_some())
        || store.is_some_and(|store| !store.failures.is_empty());
    if has_failed { ExitCode::FAILURE } else { printed }
}
