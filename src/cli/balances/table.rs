//! The table for people: amounts aligned at the decimal point, digits in groups of three.

use std::fmt::Write as _;

use super::answer::{Balance, BalancesBody, Missing};

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] =
    ["ACCOUNT", "CURRENCY", "TYPE", "AVAILABLE", "BLOCKED", "TOTAL", "AGE", "STATE"];
const AMOUNTS: std::ops::Range<usize> = 3..6;
const AGE: usize = 6;
const STATE: usize = 7;
/// Shown for an amount that the provider does not report.
const NONE: &str = "-";

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

struct Row {
    cells: [String; COLUMNS],
    colour: &'static str,
}

/// The table, and a last line that says whether a balance is missing.
pub(super) fn render(answer: &BalancesBody, is_coloured: bool) -> String {
    let oldest = answer.balances.iter().map(|balance| balance.fetched_at).min();
    let there = answer.balances.iter().map(|balance| {
        // The gateway reports the age of the oldest balance; the others are younger by the difference of `fetched_at`.
        let younger = oldest.map_or(0, |oldest| balance.fetched_at.duration_since(oldest).as_secs());
        there(balance, answer.age.saturating_sub(younger.unsigned_abs()))
    });
    let mut rows: Vec<Row> = there.chain(answer.errors.iter().map(missing)).collect();
    rows.sort_by(|a, b| a.cells.cmp(&b.cells));
    AMOUNTS.for_each(|column| align_points(&mut rows, column));
    rows.insert(0, Row { cells: HEADINGS.map(str::to_owned), colour: BOLD });
    let summary = summary(answer.balances.len(), answer.errors.len());
    format!("{}\n{summary}\n", lines(&rows, is_coloured))
}

fn lines(rows: &[Row], is_coloured: bool) -> String {
    let width = |column: usize| rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for Row { cells, colour } in rows {
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match column {
                STATE if is_coloured => writeln!(text, "{colour}{cell}{PLAIN}"),
                STATE => writeln!(text, "{cell}"),
                _ if AMOUNTS.contains(&column) || column == AGE => write!(text, "{cell:>width$}  "),
                _ => write!(text, "{cell:width$}  "),
            };
        }
    }
    text
}

fn summary(there: usize, missing: usize) -> String {
    match (there, missing) {
        (0, 0) => "This key may see no enabled account.".to_owned(),
        (1, 0) => "1 balance available.".to_owned(),
        (_, 0) => format!("All {there} balances available."),
        (_, 1) => format!("1 of {} balances is missing.", there + 1),
        (..) => format!("{missing} of {} balances are missing.", there + missing),
    }
}

fn there(balance: &Balance, age: u64) -> Row {
    let amount = |text: &Option<String>| text.as_deref().map_or_else(|| NONE.to_owned(), grouped);
    let cells = [
        balance.account.clone(),
        balance.currency.clone(),
        balance.r#type.clone().unwrap_or_default(),
        grouped(&balance.available),
        amount(&balance.blocked),
        amount(&balance.total),
        format!("{age} s"),
        "ok".to_owned(),
    ];
    Row { cells, colour: GREEN }
}

fn missing(missing: &Missing) -> Row {
    let problem = &missing.problem;
    let again = problem.retry_after.map(|seconds| format!("; retry in {seconds} s")).unwrap_or_default();
    let mut cells = [const { String::new() }; COLUMNS];
    cells[0].clone_from(&missing.account);
    cells[1] = missing.currency.clone().unwrap_or_default();
    cells[2] = missing.r#type.clone().unwrap_or_default();
    cells[STATE] = format!("{}: {}{again}", problem.code, problem.title);
    Row { cells, colour: RED }
}

/// `48,734.90` from `48734.90`: only adds commas.
fn grouped(amount: &str) -> String {
    let (sign, digits) = amount.strip_prefix('-').map_or(("", amount), |digits| ("-", digits));
    let (whole, decimals) = digits.split_at(point(digits));
    let mut text = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + decimals
}

/// Pads the amounts of a column on the right, so that their points are aligned.
fn align_points(rows: &mut [Row], column: usize) {
    let decimals = |row: &Row| row.cells[column].len() - point(&row.cells[column]);
    let most = rows.iter().map(decimals).max().unwrap_or(0);
    for row in rows {
        let blanks = most - decimals(row);
        row.cells[column].extend(std::iter::repeat_n(' ', blanks));
    }
}

/// The position of the decimal point, or of the end if there is none.
fn point(digits: &str) -> usize {
    digits.find('.').unwrap_or(digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> BalancesBody {
        let problem = r#"{"title": "The provider did not answer in time", "detail": "", "code": "provider_timeout", "retry_after": 3}"#;
        let text = format!(
            r#"{{"balances": [
                {{"account": "treasury", "currency": "BRL", "type": null, "available": "1048734.90", "blocked": "0.00",
                  "total": "1048734.90", "fetched_at": "2026-11-21T07:00:00.900Z"}},
                {{"account": "crypto", "currency": "BTC", "type": "CRYPTO", "available": "-0.12345678",
                  "blocked": null, "total": null, "fetched_at": "2026-11-21T07:00:04.100Z"}}],
              "errors": [{{"account": "mexico", "currency": "MXN", "type": null, "problem": {problem}}}],
              "complete": false}}"#
        );
        BalancesBody { age: 12, ..serde_json::from_str(&text).unwrap() }
    }

    #[test]
    fn points_are_aligned_and_ages_differ() {
        let table = render(&answer(), false);

        assert_eq!(
            table.lines().map(str::trim_end).collect::<Vec<_>>(),
            [
                "ACCOUNT   CURRENCY  TYPE             AVAILABLE  BLOCKED         TOTAL   AGE  STATE",
                "crypto    BTC       CRYPTO         -0.12345678     -             -      9 s  ok",
                "mexico    MXN                                                                \
                 provider_timeout: The provider did not answer in time; retry in 3 s",
                "treasury  BRL               1,048,734.90           0.00  1,048,734.90  12 s  ok",
                "",
                "1 of 3 balances is missing.",
            ]
        );
    }

    #[test]
    fn only_a_terminal_gets_colours() {
        assert!(!render(&answer(), false).contains('\x1b'));
        assert!(render(&answer(), true).contains("\x1b[31mprovider_timeout"));
    }

    #[test]
    fn digits_are_grouped_and_never_changed() {
        for (amount, expected) in [
            ("0", "0"),
            ("0.00", "0.00"),
            ("999.99", "999.99"),
            ("1000", "1,000"),
            ("-1000000.5", "-1,000,000.5"),
            ("12345678901234567890123456789", "12,345,678,901,234,567,890,123,456,789"),
            ("1234.12345678", "1,234.12345678"),
        ] {
            assert_eq!(grouped(amount), expected);
            assert_eq!(expected.replace(',', ""), amount);
        }
    }
}
