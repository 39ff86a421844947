//! The parts of a report that the command reads: its day, and whether a balance is missing.

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, DATE, HeaderMap};
use jiff::Timestamp;
use serde::Deserialize;

use crate::cli::client::GatewayAnswer;

/// A report as received, with its day and its completeness.
pub(super) struct Report {
    pub(super) body: String,
    /// The UTC day of `report_date`, `YYYYMMDD`.
    pub(super) day: String,
    pub(super) is_complete: bool,
    /// Account, currency, type and problem of each balance that is missing.
    pub(super) missing: Vec<String>,
}

#[derive(Deserialize)]
struct Json {
    report_date: Timestamp,
    complete: bool,
    errors: Vec<Missing>,
}

#[derive(Deserialize)]
struct Missing {
    account: String,
    currency: Option<String>,
    r#type: Option<String>,
    problem: Problem,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// The columns that say which balance is missing.
#[derive(Deserialize)]
struct Row {
    account: String,
    currency: String,
    r#type: String,
    error: String,
}

impl Report {
    /// Reads a report in JSON; `None` when it is not one.
    pub(super) fn from_json(answer: GatewayAnswer) -> Option<Self> {
        let Json { report_date, complete, errors } = serde_json::from_str(&answer.body).ok()?;
        let describe = |missing: &Missing| {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            line(&missing.account, &part(&missing.currency), &part(&missing.r#type), &missing.problem.code)
        };
        let missing = errors.iter().map(describe).collect();
        Some(Self { body: answer.body, day: day(report_date), is_complete: complete, missing })
    }

    /// Reads a report in CSV; `None` when it is not one.
    pub(super) fn from_csv(answer: GatewayAnswer) -> Option<Self> {
        let content_type = answer.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        if !content_type.starts_with("text/csv") {
            return None;
        }
        let day = day_in_name(&answer.headers).or_else(|| day_of_answer(&answer.headers))?;
        let mut reader = csv::Reader::from_reader(answer.body.as_bytes());
        let rows: Vec<Row> = reader.deserialize().collect::<Result<_, _>>().ok()?;
        // A report without rows must still have the header of a report.
        reader.headers().ok()?.iter().find(|column| *column == "error")?;
        let missing: Vec<_> = rows.iter().filter(|row| !row.error.is_empty()).collect();
        let missing: Vec<_> =
            missing.iter().map(|row| line(&row.account, &row.currency, &row.r#type, &row.error)).collect();
        Some(Self { day, is_complete: missing.is_empty(), missing, body: answer.body })
    }
}

fn line(account: &str, currency: &str, r#type: &str, code: &str) -> String {
    let balance = [account, currency, r#type].into_iter().filter(|part| !part.is_empty());
    format!("{}: {code}", balance.collect::<Vec<_>>().join(" "))
}

fn day(moment: Timestamp) -> String {
    moment.to_string().chars().take("YYYY-MM-DD".len()).filter(char::is_ascii_digit).collect()
}

/// The day in the file name that the gateway proposes: a report in CSV has no field for it.
fn day_in_name(headers: &HeaderMap) -> Option<String> {
    let proposed = headers.get(CONTENT_DISPOSITION)?.to_str().ok()?;
    let rest = proposed.split_once("reconciliation_")?.1;
    let day = rest.get(..8)?;
    day.bytes().all(|byte| byte.is_ascii_digit()).then(|| day.to_owned())
}

/// The day of the answer, for a gateway that proposes no file name.
fn day_of_answer(headers: &HeaderMap) -> Option<String> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Timestamp::try_from(date).ok().map(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(disposition: Option<&'static str>, body: &str) -> GatewayAnswer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "text/csv; charset=utf-8".parse().unwrap());
        headers.insert(DATE, "Sun, 22 Nov 2026 00:00:01 GMT".parse().unwrap());
        if let Some(disposition) = disposition {
            headers.insert(CONTENT_DISPOSITION, disposition.parse().unwrap());
        }
        GatewayAnswer { headers, body: body.to_owned() }
    }

    const HEADER: &str = "account,currency,type,error\r\n";

    #[test]
    fn a_csv_report_has_the_proposed_day_or_else_the_day_of_the_answer() {
        for (disposition, expected) in [
            (Some("attachment; filename=\"reconciliation_20261121.csv\""), "20261121"),
            (Some("attachment; filename=\"reconciliation_../../etc.csv\""), "20261122"),
            (None, "20261122"),
        ] {
            let report = Report::from_csv(csv(disposition, HEADER)).unwrap();

            assert_eq!((report.day.as_str(), report.is_complete), (expected, true));
        }
    }

    #[test]
    fn a_row_with_an_error_makes_a_csv_report_incomplete() {
        let body = format!("{HEADER}a,BRL,,\r\nb,BTC,CRYPTO,provider_timeout\r\nc,,,account_not_found\r\n");

        let report = Report::from_csv(csv(None, &body)).unwrap();

        assert!(!report.is_complete);
        assert_eq!(report.missing, ["b BTC CRYPTO: provider_timeout", "c: account_not_found"]);
        assert_eq!(report.body, body);
    }

    #[test]
    fn a_json_report_has_the_utc_day_of_its_date() {
        let body = r#"{"report_date": "2026-11-21T23:30:00-05:00", "complete": false, "balances": [],
            "errors": [{"account": "a", "currency": "MXN", "type": null, "problem": {"code": "disabled"}}]}"#;

        let report =
            Report::from_json(GatewayAnswer { headers: HeaderMap::new(), body: body.to_owned() }).unwrap();

        assert_eq!((report.day.as_str(), report.is_complete), ("20261122", false));
        assert_eq!(report.missing, ["a MXN: disabled"]);
    }

    #[test]
    fn other_bodies_are_no_reports() {
        let json = |body: &str| {
            Report::from_json(GatewayAnswer { headers: HeaderMap::new(), body: body.to_owned() })
        };

        assert!(json("{}").is_none());
        assert!(json("<html>").is_none());
        assert!(Report::from_csv(csv(None, "<html>")).is_none());
        assert!(Report::from_csv(csv(None, "")).is_none());
    }
}
