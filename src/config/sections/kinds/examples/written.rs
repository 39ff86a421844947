//! An example in the configuration.

use jiff::Timestamp;

use crate::config::reader::{Read, Reported, Setting, Value, quoted};
use crate::config::sections::kinds::texts::table;
use crate::config::values::FilePath;
use crate::domain::Currency;
use crate::providers::declared::{CurrencyRule, Mapping};

/// Every role, in the order of the answer.
pub(super) const ROLES: [&str; 5] = ["available", "blocked", "reserved", "processing", "total"];
pub(in crate::config) const EXPECTED: &str =
    "a list of { body = { file = \"…\" }, currency = \"BRL\", available = \"48734.91\" }";

/// One example in the configuration.
pub(super) struct Example {
    pub(in crate::config) body: Vec<u8>,
    pub(in crate::config) currency: Option<Currency>,
    /// The amounts that are expected, by role.
    pub(in crate::config) amounts: Vec<(&'static str, String)>,
    pub(in crate::config) observed_at: Option<Timestamp>,
    pub(super) is_refused: bool,
}

/// Reads one example, and its effective form.
pub(super) fn read_one(value: &Value<'_>) -> Read<(Example, String)> {
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
        section.wrong("refused", "not together with amounts: a refused body has none");
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

/// The currency that an example is read in.
pub(super) fn currency_of(value: &Value<'_>, example: &Example, mapping: &Mapping) -> Read<Currency> {
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

/// A text in the configuration.
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
