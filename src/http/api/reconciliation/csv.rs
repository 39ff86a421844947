//! The report as CSV (RFC 4180). No cell can become a formula: names, codes and currencies consist of letters and
//! digits, amounts are numbers, and no text of a provider is included.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::batch::{Batch, Missing};
use super::super::item::Item;
use crate::domain::{AccountName, Amount, BalanceType, Level, snapshot};
use crate::gateway::Found;
use crate::http::problem::{Code, Problem};
use crate::http::targets;

const COLUMNS: [&str; 15] = [
    "account",
    "provider",
    "currency",
    "type",
    "available",
    "blocked",
    "reserved",
    "processing",
    "total",
    "status",
    "blocked_percentage",
    "alerts",
    "observed_at",
    "fetched_at",
    "error",
];

type Row = [String; COLUMNS.len()];

/// The value of `Content-Disposition`. The file name contains the day of the report, because no column does.
pub(crate) fn file_name(report_date: Timestamp) -> String {
    let day = snapshot::milliseconds(report_date);
    let day: String = day.chars().take("YYYY-MM-DD".len()).filter(char::is_ascii_digit).collect();
    format!("attachment; filename=\"reconciliation_{day}.csv\"")
}

/// Writes the balances, then the failures.
pub(crate) fn write(batch: &Batch<'_>) -> Result<Vec<u8>, Problem> {
    let missing = batch.missing();
    let found = batch.found().map(|(item, found)| balance(item, found));
    rows(found.chain(missing.iter().map(error))).map_err(|error| {
        tracing::error!(target: targets::CSV, error = &error as &dyn std::error::Error, "a report cannot be written");
        Problem::new(Code::Internal, "a defect; see the gateway's log")
    })
}

fn rows(rows: impl Iterator<Item = Row>) -> csv::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn balance(item: &Item<'_>, found: &Found) -> Row {
    let (account, reading) = (&item.open.account, found.snapshot.reading());
    let finding = super::finding(item, found);
    let text = |amount: Option<Amount>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    let alerts: Vec<&str> = finding.alerts.into_iter().map(Level::as_str).collect();
    [
        account.name().to_string(),
        account.provider().to_string(),
        found.snapshot.currency().to_string(),
        type_of(item.slot.selector.r#type.as_ref()),
        reading.available.to_string(),
        text(reading.blocked),
        text(reading.reserved),
        text(reading.processing),
        text(reading.total),
        finding.status.as_str().to_owned(),
        finding.blocked_percentage.map(|percentage| percentage.to_string()).unwrap_or_default(),
        alerts.join(" "),
        reading.observed_at.instant().map(snapshot::milliseconds).unwrap_or_default(),
        snapshot::milliseconds(found.snapshot.fetched_at()),
        String::new(),
    ]
}

fn error(missing: &Missing<'_>) -> Row {
    let mut row = Row::default();
    let [account, provider, currency, r#type, .., error] = &mut row;
    *account = harmless(missing.account).into_owned();
    *provider = missing.problem.provider().map(ToString::to_string).unwrap_or_default();
    if let Some(selector) = missing.selector {
        *currency = selector.currency.map(|currency| currency.to_string()).unwrap_or_default();
        *r#type = type_of(selector.r#type.as_ref());
    }
    missing.problem.code.as_str().clone_into(error);
    row
}

fn type_of(r#type: Option<&BalanceType>) -> String {
    r#type.map_or("", BalanceType::as_str).to_owned()
}

/// Returns a valid account name verbatim, and any other text percent-encoded: `=1+1` would be a formula in a
/// spreadsheet.
fn harmless(account: &str) -> Cow<'_, str> {
    match AccountName::parse(account) {
        Ok(_) => account.into(),
        Err(_) => utf8_percent_encode(account, NON_ALPHANUMERIC).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_account_name_cannot_become_a_formula() {
        for (account, cell) in [
            ("treasury-br", "treasury-br"),
            ("=1+1", "%3D1%2B1"),
            ("+1", "%2B1"),
            ("-1", "%2D1"),
            ("@SUM(A1)", "%40SUM%28A1%29"),
            ("\t=1", "%09%3D1"),
            ("\r\n=1", "%0D%0A%3D1"),
            ("", ""),
        ] {
            assert_eq!(harmless(account), cell, "{account:?}");
        }
    }

    #[test]
    fn rows_end_with_crlf() {
        let mut row = Row::default();
        row[0] = "a".to_owned();
        row[11] = "high \"x\", y".to_owned();

        let text = String::from_utf8(rows([row].into_iter()).unwrap()).unwrap();

        let header = COLUMNS.join(",");
        assert_eq!(text, format!("{header}\r\na,,,,,,,,,,,\"high \"\"x\"\", y\",,,\r\n"));
    }
}
