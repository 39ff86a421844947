//! Chooses JSON or CSV by `Accept` (RFC 9110), for the one path that offers both.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::http::directives::split;

/// The formats of an answer, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    Json,
    Csv,
}

/// How specifically a media range matches a format; the most specific one decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    Type,
    Exact,
}

impl ReportFormat {
    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::Csv => ("text", "csv"),
        }
    }

    /// How specifically `type/subtype` matches this format, if it does.
    fn named_by(self, range: &str) -> Option<Precision> {
        let (main, sub) = self.media_type();
        match range.split_once('/')? {
            ("*", "*") => Some(Precision::Anything),
            (given, "*") if given.eq_ignore_ascii_case(main) => Some(Precision::Type),
            (given, rest) if given.eq_ignore_ascii_case(main) && rest.eq_ignore_ascii_case(sub) => {
                Some(Precision::Exact)
            }
            _ => None,
        }
    }
}

/// The format with the highest weight, JSON if equal; `None` if neither is acceptable. A request without a readable
/// `Accept` accepts any format.
pub(crate) fn negotiate(headers: &HeaderMap) -> Option<ReportFormat> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges: Vec<_> = lines.flat_map(|line| split(line, ',')).filter_map(range).collect();
    if ranges.is_empty() {
        return Some(ReportFormat::Json);
    }
    let weight = |format: ReportFormat| {
        let naming = ranges.iter().filter_map(|(range, weight)| Some((format.named_by(range)?, *weight)));
        naming.max().map_or(0, |(_, weight)| weight)
    };
    match (weight(ReportFormat::Json), weight(ReportFormat::Csv)) {
        (0, 0) => None,
        (json, csv) if json >= csv => Some(ReportFormat::Json),
        _ => Some(ReportFormat::Csv),
    }
}

/// Parses a media range: its type without parameters, and its weight in thousandths. `None` if it is not a media range.
fn range(member: &str) -> Option<(&str, u16)> {
    let mut parts = split(member, ';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim_end().eq_ignore_ascii_case("q").then_some(value.trim_start())
    });
    // An unreadable weight counts as 1.
    Some((range, weight.and_then(thousandths).unwrap_or(1000)))
}

/// Parses a weight from 0 to 1 with at most three decimals, such as `0.5`, into thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = matches!(whole, "0" | "1")
        && fraction.len() <= 3
        && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let thousandths = if is_weight { format!("{whole}{fraction:0<3}").parse().ok()? } else { return None };
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_with_the_higher_weight_is_chosen_and_json_if_equal() {
        const JSON: Option<ReportFormat> = Some(ReportFormat::Json);
        const CSV: Option<ReportFormat> = Some(ReportFormat::Csv);
        for (lines, expected) in [
            (&[][..], JSON),
            (&[""], JSON),
            (&["*/*"], JSON),
            (&["application/json"], JSON),
            (&["text/csv"], CSV),
            (&["TEXT/CSV"], CSV),
            (&["text/*"], CSV),
            (&["application/*"], JSON),
            (&["text/csv, application/json"], JSON),
            (&["text/csv", "application/json"], JSON),
            (&["text/csv;q=0.5, application/json;q=0.5"], JSON),
            (&["text/csv;q=0.501, application/json;q=0.5"], CSV),
            (&["text/csv, */*;q=0.1"], CSV),
            (&["text/csv;q=0.1, */*"], JSON),
            (&["text/csv, */*"], JSON),
            (&["application/json;q=0, */*"], CSV),
            (&["application/json;q=0, */*;q=0.001"], CSV),
            (&["text/csv;q=0, text/*"], None),
            (&["text/csv;charset=utf-8; q=0.9, application/json ; Q=0.8"], CSV),
            (&["text/csv;header=\"a,b;q=0\""], CSV),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], JSON),
            (&["text/html"], None),
            (&["text/html, application/xml"], None),
            (&["application/json;q=0"], None),
            (&["*/*;q=0"], None),
            (&["application/problem+json"], None),
            (&["text/csv;q=x, application/json;q=0.9"], CSV),
            (&["text/csv;q=1.5, application/json"], JSON),
            (&["json"], JSON),
            (&["csv, text/csv"], CSV),
            (&[", ,text/csv,,"], CSV),
        ] {
            let headers: HeaderMap = lines.iter().map(|line| (ACCEPT, line.parse().unwrap())).collect();

            assert_eq!(negotiate(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_weight_is_zero_to_one_with_three_decimals() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("0.5", Some(500)),
            ("0.", Some(0)),
            ("0.001", Some(1)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("0.0001", None),
            ("2", None),
            ("-1", None),
            (".5", None),
            ("", None),
            ("0.5x", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }
}
