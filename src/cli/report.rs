//! `report`: asks a running gateway for the reconciliation report and writes it as it came.

mod body;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use super::client::{Client, ClientError, GatewayArguments};
use body::Report;

#[derive(Debug, clap::Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// A file, or a directory for a file named `reconciliation_YYYYMMDD` by the UTC day of the report; standard output
    /// without it.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// The forms that the gateway offers.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

pub(super) fn run(arguments: &ReportArguments) -> ExitCode {
    let client = match Client::new(&arguments.gateway) {
        Ok(client) => client,
        Err(error) => return super::report_usage_error(&error),
    };
    let report = super::block_on(ask(&client, arguments.format));
    match report {
        Ok(Ok(report)) => deliver(&report, arguments),
        Ok(Err(error)) => super::report_error(&error),
        Err(error) => super::report_error(&error),
    }
}

async fn ask(client: &Client, format: Format) -> Result<Report, ClientError> {
    let answer = client.get("/v1/reconciliation", format.media_type()).await?;
    let report = match format {
        Format::Json => Report::from_json(answer),
        Format::Csv => Report::from_csv(answer),
    };
    report.ok_or_else(|| client.not_a_gateway(200))
}

/// Writes the report, and names the missing balances on standard error.
fn deliver(report: &Report, arguments: &ReportArguments) -> ExitCode {
    let written = match &arguments.output {
        None => super::print(&report.body),
        Some(path) => {
            let name = format!("reconciliation_{}.{}", report.day, arguments.format.extension());
            output::write(path, &name, report.body.as_bytes())
                .map_or_else(|error| super::report_error(&error), |()| ExitCode::SUCCESS)
        }
    };
    for missing in &report.missing {
        super::print_error_line(&format!("balance-gateway: missing: {missing}"));
    }
    if report.is_complete { written } else { ExitCode::FAILURE }
}
