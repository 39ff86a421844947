//! `try`: reads a recorded body with a kind, offline, or records a first body.

mod record;
mod table;
mod unused;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rust_decimal::Decimal;

use super::{DEFAULT_CONFIG, print, print_error_line};
use crate::config;
use crate::domain::{BalanceType, BodyError, Currency, Reading, Selector};
use crate::providers;
use crate::providers::declared::Understood;

#[derive(Debug, clap::Args)]
pub(super) struct TryArguments {
    /// The kind to read with: a declared one or a built-in one.
    #[arg(required_unless_present = "account", conflicts_with = "account", requires = "body")]
    kind: Option<String>,
    /// The recorded body.
    #[arg(long, value_name = "FILE", requires = "kind")]
    body: Option<PathBuf>,
    /// The balance's currency, where the kind reads it from the body.
    #[arg(long, value_name = "CODE", requires = "kind")]
    currency: Option<String>,
    /// The balance's type.
    #[arg(long, value_name = "TYPE", requires = "kind")]
    r#type: Option<String>,
    /// The expected amount of a figure, such as available=48734.91; may be repeated.
    #[arg(long, value_name = "ROLE=AMOUNT", requires = "kind")]
    expect: Vec<String>,
    /// The account to record a body of, with one call.
    #[arg(long, value_name = "NAME", requires = "save")]
    account: Option<String>,
    /// Where the recorded body goes: a new file, mode 0600.
    #[arg(long, value_name = "FILE", requires = "account")]
    save: Option<PathBuf>,
    /// The configuration file.
    #[arg(long = "config", value_name = "FILE", env = "BALANCE_GATEWAY_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// A mistake in the arguments or the configuration.
struct Usage(String);

/// One expectation of the command line.
struct Expectation {
    role: String,
    amount: Decimal,
}

pub(super) fn run(arguments: &TryArguments) -> ExitCode {
    match (&arguments.kind, &arguments.body, &arguments.account, &arguments.save) {
        (Some(kind), Some(body), None, None) => match read(arguments, kind, body) {
            Ok(code) => code,
            Err(Usage(text)) => {
                print_error_line(&text);
                ExitCode::from(2)
            }
        },
        (None, None, Some(account), Some(file)) => record::run(&arguments.config, account, file),
        _ => {
            print_error_line("expected either KIND with --body FILE, or --account NAME with --save FILE");
            ExitCode::from(2)
        }
    }
}

fn read(arguments: &TryArguments, kind: &str, file: &Path) -> Result<ExitCode, Usage> {
    let expectations: Vec<Expectation> =
        arguments.expect.iter().map(|text| expectation(text)).collect::<Result<_, _>>()?;
    let body = std::fs::read(file)
        .map_err(|error| Usage(format!("expected a readable body, but {}: {error}", file.display())))?;
    let mut text = table::head(kind, file, body.len());
    let understood = if let Some(built_in) = providers::find(kind) {
        if built_in.only_currency().is_some() && arguments.r#type.is_some() {
            return Err(Usage(format!("--type: expected none, {kind} has no types of balances")));
        }
        let selector = selector(arguments, built_in.only_currency(), built_in.only_currency().is_some())?;
        let read = built_in.parse(&body, &selector);
        if let Ok(reading) = &read {
            text += &table::built_in(built_in, reading);
        }
        read.map(|reading| (reading, selector))
    } else {
        let mapping =
            config::load_mapping(&arguments.config, kind).map_err(|errors| Usage(errors.to_string()))?;
        let selector = selector(arguments, mapping.mapping().currency.only(), true)?;
        text += &table::success(&mapping, &body);
        let understood = mapping.understand(&body, &selector);
        if let Ok(understood) = &understood {
            text += &table::roles(&mapping, understood);
        }
        text += &table::unused(&unused::members(&body, &mapping));
        if let Ok(understood) = &understood {
            text += &table::oddities(&mapping, understood);
        }
        understood.map(|Understood { reading, .. }| (reading, selector))
    };
    Ok(match understood {
        Ok((reading, selector)) => {
            text += &table::answer(&reading, &selector);
            judge(text, &reading, &expectations)
        }
        Err(error) => {
            text += &table::line("refused", &told(error));
            print(&text);
            ExitCode::FAILURE
        }
    })
}

/// Prints the amounts, and each difference from the expectations.
fn judge(mut text: String, reading: &Reading, expectations: &[Expectation]) -> ExitCode {
    let mut differs = false;
    for Expectation { role, amount } in expectations {
        let figure =
            figures(reading).into_iter().find(|(name, _)| name == role).and_then(|(_, figure)| figure);
        if figure.is_none_or(|figure| figure.value() != *amount) {
            differs = true;
            let figure = figure.map_or("none".to_owned(), |figure| figure.to_string());
            text += &table::line("differs", &format!("{role}: expected {amount}, but it is {figure}"));
        }
    }
    let printed = print(&text);
    if differs { ExitCode::FAILURE } else { printed }
}

/// Every figure with its role.
fn figures(reading: &Reading) -> [(&'static str, Option<crate::domain::Amount>); 5] {
    [
        ("available", Some(reading.available)),
        ("blocked", reading.blocked),
        ("reserved", reading.reserved),
        ("processing", reading.processing),
        ("total", reading.total),
    ]
}

fn expectation(text: &str) -> Result<Expectation, Usage> {
    let wrong = || {
        Usage(format!(
            "--expect: expected ROLE=AMOUNT, with available, blocked, reserved, processing or total and an amount such \
             as 48734.91, not {text:?}"
        ))
    };
    let (role, amount) = text.split_once('=').ok_or_else(wrong)?;
    let is_role = ["available", "blocked", "reserved", "processing", "total"].contains(&role);
    // Any currency will do: an expectation is compared as a number.
    let amount =
        crate::domain::Amount::parse(amount, Currency::BRL).ok().filter(|_| is_role).ok_or_else(wrong)?;
    Ok(Expectation { role: role.to_owned(), amount: amount.value() })
}

fn selector(
    arguments: &TryArguments,
    only: Option<Currency>,
    needs_currency: bool,
) -> Result<Selector, Usage> {
    let wrong = |what: &str, text: &str| Usage(format!("--{what}: expected {what} code, not {text:?}"));
    let given = arguments.currency.as_deref();
    let given = given.map(|text| Currency::parse(text).ok_or_else(|| wrong("currency", text))).transpose()?;
    let r#type = arguments.r#type.as_deref();
    let r#type =
        r#type.map(|text| BalanceType::parse(text).ok_or_else(|| wrong("type", text))).transpose()?;
    let currency = match (only, given) {
        (Some(only), Some(given)) if only != given => {
            return Err(Usage(format!("--currency: expected {only}, the only one of the kind, not {given}")));
        }
        (None, None) if needs_currency => {
            return Err(Usage(
                "--currency: missing, expected the currency to read, as the body names it".to_owned(),
            ));
        }
        (only, given) => only.or(given),
    };
    Ok(Selector { currency, r#type })
}

/// Why a body is not a balance, as text.
fn told(error: BodyError) -> String {
    match error {
        BodyError::Invalid(error) => format!("{error} (provider_invalid_response)"),
        BodyError::Status(200) => "success does not hold (provider_error)".to_owned(),
        BodyError::Status(status) => format!("the body reports status {status}"),
    }
}
