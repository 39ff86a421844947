//! Evaluates examples: compares the amounts that the mapping reads with the amounts that a person read elsewhere.

use super::written::{Example, ROLES, currency_of};
use crate::config::reader::{Read, Value};
use crate::domain::{Amount, BodyError, Currency, ObservedAt, Selector};
use crate::providers::declared::{Mapping, MappingReader, Row, Understood};

/// The amounts that a mapping read from an example.
pub(super) struct Proof {
    amounts: Vec<Amount>,
    understood: Understood,
    proves_all_roles: bool,
}

/// Reads the example's body and compares the amounts. `None` for a body that the mapping refuses, as expected.
pub(super) fn evaluate(
    value: &Value<'_>,
    example: &Example,
    mapping: &Mapping,
    reader: &MappingReader,
) -> Read<Option<Proof>> {
    let currency = currency_of(value, example, mapping)?;
    let read = reader.understand(&example.body, &Selector::of(currency));
    match (read, example.is_refused) {
        (Ok(_), true) => Err(value.wrong("expected a body that is refused, but the mapping reads it")),
        (Err(_), true) => Ok(None),
        (Ok(understood), false) => compare(value, example, mapping, currency, understood).map(Some),
        (Err(error), false) => {
            let why = match error {
                BodyError::Invalid(error) => error.to_string(),
                BodyError::Status(200) => "success does not hold".to_owned(),
                BodyError::Status(status) => format!("the body reports status {status}"),
            };
            Err(value.wrong(&format!("expected a body that the mapping reads, but {why}")))
        }
    }
}

fn compare(
    value: &Value<'_>,
    example: &Example,
    mapping: &Mapping,
    currency: Currency,
    understood: Understood,
) -> Read<Proof> {
    let reading = &understood.reading;
    let figures =
        [Some(reading.available), reading.blocked, reading.reserved, reading.processing, reading.total];
    let mut result = Ok(());
    let mut amounts = Vec::new();
    for (role, figure) in ROLES.into_iter().zip(figures) {
        let written = example.amounts.iter().find(|(name, _)| *name == role).map(|(_, text)| text);
        let compared = compare_one(value, role, currency, written.map(String::as_str), figure);
        match compared {
            Ok(amount) => amounts.extend(amount),
            Err(reported) => result = Err(reported),
        }
    }
    if let Some(expected) = example.observed_at
        && reading.observed_at != ObservedAt::At(expected)
    {
        result = Err(value.wrong(&format!(
            "expected observed_at = \"{expected}\", but the mapping gives {}",
            shown_instant(reading.observed_at)
        )));
    }
    result?;
    let proves_all_roles =
        mapping.parts().iter().all(|(role, _)| example.amounts.iter().any(|(given, _)| given == role));
    Ok(Proof { amounts, understood, proves_all_roles })
}

fn shown_instant(observed_at: ObservedAt) -> String {
    observed_at.instant().map_or("none".to_owned(), |instant| format!("{instant}"))
}

fn compare_one(
    value: &Value<'_>,
    role: &str,
    currency: Currency,
    written: Option<&str>,
    figure: Option<Amount>,
) -> Read<Option<Amount>> {
    let Some(written) = written else {
        return match figure {
            Some(figure) => Err(value
                .wrong(&format!("{role}: missing, expected the amount that the mapping gives: {figure}"))),
            None => Ok(None),
        };
    };
    let expected = Amount::parse(written, currency).ok().filter(|amount| is_written_whole(written, *amount));
    let Some(expected) = expected else {
        let digits = currency.exponent().unwrap_or(0);
        return Err(value.wrong(&format!(
            "{role}: expected an amount in quotes with the {digits} digits of {currency}, or more digits if the amount has them"
        )));
    };
    match figure {
        Some(figure) if figure.value() == expected.value() => Ok(Some(expected)),
        Some(figure) => {
            Err(value.wrong(&format!("{role}: expected {expected}, but the mapping gives {figure}")))
        }
        None => Err(value.wrong(&format!("{role}: expected {expected}, but the mapping gives none"))),
    }
}

/// Whether an amount has exactly its currency's digits, or as many more as it needs.
fn is_written_whole(text: &str, amount: Amount) -> bool {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    let least = u32::from(amount.currency().exponent().unwrap_or(0));
    is_plain && decimals == least.max(amount.significant_decimals()) as usize
}

/// Requires an example in which a wrong unit or a swapped field cannot pass. With rows, the right row must be neither
/// the first nor the last, so that it is not found by chance.
pub(super) fn check_proofs(value: &Value<'_>, mapping: &Mapping, proofs: &[Proof]) -> Read<()> {
    let parts = mapping.parts();
    if !proofs.iter().any(Proof::is_strong) {
        let declared: Vec<&str> = parts.iter().map(|(role, _)| *role).collect();
        return Err(value.wrong(&format!(
            "expected an example that proves the mapping: every declared amount ({}), none of them zero, all different, \
             one whose last digit is not 0",
            declared.join(", ")
        )));
    }
    let roles = parts.iter().flat_map(|(_, part)| part.roles());
    let arrays: Vec<_> = roles.filter_map(|role| role.rows.as_ref().map(|rows| &rows.array)).collect();
    for array in arrays {
        if !proofs.iter().any(|proof| proof.has_rows_around(array.as_str())) {
            return Err(value.wrong(&format!(
                "expected an example in which the array \"{array}\" has another row before and after the right one"
            )));
        }
    }
    Ok(())
}

impl Proof {
    fn is_strong(&self) -> bool {
        let values: Vec<_> = self.amounts.iter().map(|amount| amount.value()).collect();
        let are_different =
            values.iter().enumerate().all(|(at, value)| !value.is_zero() && !values[..at].contains(value));
        self.proves_all_roles
            && are_different
            && self.amounts.iter().any(|amount| !amount.to_string().ends_with('0'))
    }

    fn has_rows_around(&self, array: &str) -> bool {
        let around = |row: &Row| row.array == array && row.number > 0 && row.number + 1 < row.count;
        self.understood.amounts.iter().filter_map(|amount| amount.row.as_ref()).any(around)
    }
}
