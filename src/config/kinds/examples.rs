//! `[[kinds.NAME.examples]]`: recorded bodies and the amounts that a person read elsewhere. They are evaluated at every
//! load; a kind that they do not prove is refused.

use jiff::Timestamp;

use super::super::reading::{Read, Reported};
use super::super::section::{Section, Setting, Value};
use super::super::setting::quoted;
use super::super::source::FilePath;
use super::texts::table;
use crate::domain::{Amount, BodyError, Currency, ObservedAt, Selector};
use crate::providers::declared::{CurrencyRule, Declared, Mapping, MappingReader, Row, Understood};

/// Every role, in the order of the answer.
pub(super) const ROLES: [&str; 5] = ["available", "blocked", "reserved", "processing", "total"];
const EXPECTED: &str = "a list of { body = { file = \"…\" }, currency = \"BRL\", available = \"48734.91\" }";

/// One example as it is written.
struct Example {
    body: Vec<u8>,
    currency: Option<Currency>,
    /// The amounts that are expected, by role.
    amounts: Vec<(&'static str, String)>,
    observed_at: Option<Timestamp>,
    is_refused: bool,
}

/// What an example showed.
struct Proof {
    amounts: Vec<Amount>,
    understood: Understood,
    proves_all_roles: bool,
}

/// Reads and evaluates the examples. Without a mapping only their form is judged.
pub(super) fn read(section: &mut Section<'_>, mapping: Option<&Mapping>) -> Read<()> {
    let Some(value) = section.value("examples") else {
        return Err(
            section.wrong("examples", &format!("missing, expected {EXPECTED}: it proves the mapping"))
        );
    };
    let reader = mapping.map(|mapping| (mapping, MappingReader::new(mapping)));
    let items = value.items(EXPECTED)?;
    let mut shown = Vec::new();
    let evaluated: Vec<Read<Option<Proof>>> = items
        .iter()
        .map(|item| {
            let (example, text) = read_one(item)?;
            shown.push(text);
            match &reader {
                Some((mapping, reader)) => evaluate(item, &example, mapping, reader),
                None => Ok(None),
            }
        })
        .collect();
    section.show_text("examples", format!("[{}]", shown.join(", ")));
    let proofs: Vec<Proof> = evaluated.into_iter().collect::<Read<Vec<_>>>()?.into_iter().flatten().collect();
    match mapping {
        Some(mapping) => judge_proofs(&value, mapping, &proofs),
        None => Err(Reported),
    }
}

fn read_one(value: &Value<'_>) -> Read<(Example, String)> {
    let mut section = value.section(EXPECTED)?;
    let body: Read<BodyFile> = section.required("body");
    let currency: Read<Option<Currency>> = section.optional("currency");
    let amounts: Vec<Read<_>> = ROLES
        .into_iter()
        .map(|role| Ok(section.optional::<WrittenText>(role)?.map(|text| (role, text.0))))
        .collect();
    let observed_at: Read<Option<Instant>> = section.optional("observed_at");
    let is_refused = section.or("refused", false);
    section.hide_unset();
    let shown = section.inline();
    let amounts: Vec<_> = amounts.into_iter().collect::<Read<Vec<_>>>()?.into_iter().flatten().collect();
    let is_contradictory = is_refused == Ok(true) && !amounts.is_empty();
    if is_contradictory {
        section.wrong("refused", "not beside amounts: a refused body gives none");
    }
    section.close();
    let example = Example {
        body: body?.contents,
        currency: currency?,
        amounts,
        observed_at: observed_at?.map(|instant| instant.0),
        is_refused: is_refused?,
    };
    if is_contradictory { Err(Reported) } else { Ok((example, shown)) }
}

/// The body of each example that the kind reads, with the currency that it is read in.
pub(super) fn bodies(section: &mut Section<'_>, kind: &Declared) -> Read<Vec<(Currency, String)>> {
    let mapping = &kind.declaration().mapping;
    let Some(value) = section.value("examples") else { return Ok(Vec::new()) };
    let mut bodies = Vec::new();
    for item in value.items(EXPECTED)? {
        let (example, _) = read_one(&item)?;
        if !example.is_refused {
            let currency = currency_of(&item, &example, mapping)?;
            bodies.push((currency, String::from_utf8_lossy(&example.body).into_owned()));
        }
    }
    Ok(bodies)
}

/// Reads the example's body and compares what comes out. `None` for a body that is refused, as it should be.
fn evaluate(
    value: &Value<'_>,
    example: &Example,
    mapping: &Mapping,
    reader: &MappingReader,
) -> Read<Option<Proof>> {
    let currency = currency_of(value, example, mapping)?;
    let read = reader.read(&example.body, &Selector::of(currency));
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

fn currency_of(value: &Value<'_>, example: &Example, mapping: &Mapping) -> Read<Currency> {
    match (&mapping.currency, mapping.currency.only(), example.currency) {
        (_, Some(only), Some(given)) if only != given => {
            Err(value.wrong(&format!("expected currency = \"{only}\", the only one of the kind")))
        }
        (_, Some(only), _) => Ok(only),
        (_, None, Some(given)) => Ok(given),
        (CurrencyRule::Stated(_) | CurrencyRule::At { .. }, None, None) => {
            Err(value.wrong("currency: missing, expected the currency whose amounts are given"))
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
            told_instant(reading.observed_at)
        )));
    }
    result?;
    let proves_all_roles =
        mapping.parts().iter().all(|(role, _)| example.amounts.iter().any(|(given, _)| given == role));
    Ok(Proof { amounts, understood, proves_all_roles })
}

fn told_instant(observed_at: ObservedAt) -> String {
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
            "{role}: expected an amount in quotes with the {digits} digits of {currency}, or as many more as it has"
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

/// At least one example must be such that no wrong unit and no swapped field passes; with rows, such that the first or
/// the last row is not taken by chance.
fn judge_proofs(value: &Value<'_>, mapping: &Mapping, proofs: &[Proof]) -> Read<()> {
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
        self.understood.taken.iter().filter_map(|taken| taken.row.as_ref()).any(around)
    }
}

/// A recorded body. Its file is watched like every file that is named.
struct BodyFile {
    source: &'static str,
    name: String,
    contents: Vec<u8>,
}

impl Setting for BodyFile {
    const EXPECTED: &'static str = "{ file = \"…\" }, a recorded body";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let path: Read<Option<FilePath>> = section.optional("file");
        let variable: Read<Option<WrittenText>> = section.optional("env");
        section.close();
        let (source, name, contents) = match (path?, variable?) {
            (Some(FilePath(path)), None) => {
                value.sources().name(&path);
                let unreadable = |error| format!("expected a readable file, but {}: {error}", path.display());
                let contents = value.sources().read(&path);
                let contents = contents.map_err(|error| value.wrong(&unreadable(error)))?;
                ("file", path.to_string_lossy().into_owned(), contents)
            }
            (None, Some(WrittenText(name))) => {
                let contents =
                    value.env(&name).ok_or_else(|| value.wrong("expected a variable that is set"))?;
                ("env", name, contents.into_bytes())
            }
            _ => return Err(value.expected(Self::EXPECTED)),
        };
        value.sources().keep(value.path(), contents.clone());
        Ok(Self { source, name, contents })
    }

    fn show(&self) -> String {
        table(std::iter::once((self.source, quoted(&self.name))))
    }
}

/// A text as it is written.
struct WrittenText(String);

impl Setting for WrittenText {
    const EXPECTED: &'static str = "an amount in quotes, such as \"48734.91\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Some(Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// An instant.
struct Instant(Timestamp);

impl Setting for Instant {
    const EXPECTED: &'static str = "an instant in quotes, such as \"2026-11-21T06:59:59Z\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| text.parse().ok().map(Self))
    }

    fn show(&self) -> String {
        quoted(&self.0.to_string())
    }
}
