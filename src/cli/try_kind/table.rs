//! The output of `try`. The number of a row is only for the reader: nothing depends on it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::figures;
use crate::clock;
use crate::domain::{AccountName, ProviderName, Reading, Selector, Snapshot};
use crate::providers::declared::{AmountUnit, Condition, Expected, LocatedAmount, MappingReader, Understood};
use crate::providers::{Figure, Provider};

/// The column in which values begin.
const MARGIN: usize = 13;
/// An amount above this is rarely a balance.
const HUGE: i64 = 1_000_000_000_000;

pub(super) fn head(kind: &str, body: &Path, length: usize) -> String {
    line("kind", kind) + &line("body", &format!("{}, {length} bytes", body.display()))
}

pub(super) fn line(name: &str, text: &str) -> String {
    format!("{name:MARGIN$}{text}\n")
}

/// Whether each condition of success holds.
pub(super) fn success(mapping: &MappingReader, body: &[u8]) -> String {
    let conditions = &mapping.mapping().success;
    let mut text = String::new();
    for (at, (Condition { at: pointer, expected }, holds)) in
        conditions.iter().zip(mapping.success_conditions(body)).enumerate()
    {
        let name = if at == 0 { "success" } else { "" };
        let result = match holds {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "cannot be read",
        };
        text += &line(name, &format!("{:40} {result}", format!("{pointer} = {}", shown(expected))));
    }
    text
}

/// A value as the configuration writes it.
fn shown(expected: &Expected) -> String {
    match expected {
        Expected::Text(text) => Value::from(text.as_str()).to_string(),
        Expected::Number(number) => number.clone(),
        Expected::Boolean(boolean) => boolean.to_string(),
    }
}

/// The place of each role, and its amount.
pub(super) fn roles(mapping: &MappingReader, understood: &Understood) -> String {
    let currency = understood.reading.available.currency();
    let unit = mapping.mapping().units.describe(currency);
    let rows: Vec<[String; 5]> = understood
        .amounts
        .iter()
        .map(|located| {
            let amount = located.amount.map_or(String::new(), |amount| format!("{amount} {currency}"));
            let role = located.role.unwrap_or("report").to_owned();
            let unit = if located.amount.is_some() { unit.clone() } else { String::new() };
            [role, place(located), located.text.clone(), unit, amount]
        })
        .collect();
    aligned(&rows) + &sums(understood)
}

/// The place of each figure of a built-in kind, and its amount.
pub(super) fn built_in(kind: &dyn Provider, reading: &Reading) -> String {
    let amounts = figures(reading);
    let row = |figure: &Figure| {
        let name = figure.pointer.rsplit('/').next()?;
        let (_, text) = reading.reported.iter().find(|(reported, _)| reported == name)?;
        let (_, amount) = amounts.iter().find(|(role, _)| *role == figure.role)?;
        let amount = amount.map(|amount| format!("{amount} {}", amount.currency()))?;
        Some([
            figure.role.to_owned(),
            figure.pointer.to_owned(),
            text.clone(),
            figure.units.to_owned(),
            amount,
        ])
    };
    aligned(&kind.figures().iter().filter_map(row).collect::<Vec<_>>())
}

/// The rows below their headings, in columns.
fn aligned(rows: &[[String; 5]]) -> String {
    let head = ["role", "from", "text", "units", "amount"].map(str::to_owned);
    let all: Vec<&[String; 5]> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [from_width, text_width, unit_width, amount_width] = [1, 2, 3, 4].map(width);
    let role_width = MARGIN - 1;
    let mut text = String::new();
    for [role, from, read, units, amount] in all {
        let row = format!(
            "{role:role_width$} {from:from_width$}  {read:>text_width$}  {units:unit_width$}  {amount:>amount_width$}"
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// One line for each figure that is the sum of several amounts.
fn sums(understood: &Understood) -> String {
    let mut text = String::new();
    for (role, figure) in figures(&understood.reading) {
        let parts = understood.amounts.iter().filter(|located| located.role == Some(role)).count();
        if parts > 1
            && let Some(figure) = figure
        {
            text += &line(role, &format!("sum of {parts}: {figure} {}", figure.currency()));
        }
    }
    text
}

/// The pointer with the number of its row.
fn place(located: &LocatedAmount) -> String {
    match &located.row {
        Some(row) => {
            let member = located.name.strip_prefix(&row.array).unwrap_or(&located.name);
            format!("{}[{}]{member}", row.array, row.number)
        }
        None => located.name.clone(),
    }
}

/// Members that look like money and that no role reads.
pub(super) fn unused(members: &[String]) -> String {
    if members.is_empty() { String::new() } else { line("unused", &members.join(", ")) }
}

/// Values that are legal but look wrong.
pub(super) fn oddities(mapping: &MappingReader, understood: &Understood) -> String {
    let reading = &understood.reading;
    let currency = reading.available.currency();
    let amounts: Vec<_> =
        figures(reading).into_iter().filter_map(|(role, figure)| Some((role, figure?))).collect();
    let mut odd = Vec::new();
    for (role, amount) in &amounts {
        if currency.exponent().is_some_and(|digits| amount.significant_decimals() > u32::from(digits)) {
            odd.push(format!("{role} has more decimals than {currency} has"));
        }
        if amount.value().abs() > HUGE.into() {
            odd.push(format!("{role} is above 10^12: is the unit right?"));
        }
    }
    if amounts.iter().all(|(_, amount)| amount.value().is_zero()) {
        odd.push("every amount is 0: this body proves nothing".to_owned());
    }
    let blocks = reading.blocked.is_some_and(|blocked| !blocked.value().is_zero());
    if blocks && reading.total.is_some_and(|total| total.value() == reading.available.value()) {
        odd.push("available equals total although something is blocked".to_owned());
    }
    let is_major = matches!(mapping.mapping().units, AmountUnit::Major | AmountUnit::MajorWith(_));
    let is_whole = |located: &&LocatedAmount| {
        located.amount.is_some_and(|amount| !amount.value().is_zero()) && !located.text.contains('.')
    };
    let whole = understood.amounts.iter().filter(is_whole);
    if is_major && currency.exponent() != Some(0) {
        odd.extend(
            whole.map(|located| {
                format!("{} is a whole number under major: is the unit right?", place(located))
            }),
        );
    }
    odd.iter().map(|odd| line("odd", odd)).collect()
}

/// The answer to callers, without the fields that do not come from the body.
pub(super) fn answer(reading: &Reading, selector: &Selector) -> String {
    let names = (AccountName::parse("a"), ProviderName::parse("p"));
    let (Ok(account), Ok(provider)) = names else { return String::new() };
    let snapshot =
        Snapshot::new(&account, &provider, selector.r#type.as_ref(), clock::now(), reading.clone());
    let body: Map<String, Value> = serde_json::from_slice(snapshot.body()).unwrap_or_default();
    let hidden = ["account", "provider", "fetched_at"];
    let body: Map<String, Value> =
        body.into_iter().filter(|(name, _)| !hidden.contains(&name.as_str())).collect();
    line("answer", &Value::Object(body).to_string())
}
