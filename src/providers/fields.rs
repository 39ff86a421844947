//! Reads the fields of a JSON object as raw text, so that no digit passes through a float.
//!
//! Duplicate fields are kept until a field is read: only a field that we read must be unique.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::{Amount, AmountError, Currency, MinorUnits, ObservedAt, ParseError};

/// The text of a body, without a byte order mark. Bytes that are not UTF-8 become U+FFFD. No amount, currency or time
/// contains that character, so only the field with such bytes is invalid.
pub(super) fn body_text(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body))
}

/// The fields of one JSON object in the order sent. Unknown fields are ignored.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the text of a body that must be one JSON object.
    pub(super) fn parse(text: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(text).map_err(|problem| error("body", no_object(text, &problem)))
    }

    /// The object in a field.
    pub(super) fn object(&self, field: &'static str) -> Result<Fields<'a>, ParseError> {
        serde_json::from_str(self.required(field)?.get()).map_err(|_| error(field, "not an object"))
    }

    /// A required text.
    pub(super) fn text(&self, field: &'static str) -> Result<Cow<'a, str>, ParseError> {
        unquoted(self.required(field)?).ok_or(error(field, "not a string"))
    }

    /// A required whole number that fits 64 bits.
    pub(super) fn integer(&self, field: &'static str) -> Result<i64, ParseError> {
        self.required(field)?.get().parse().map_err(|_| error(field, "not an integer"))
    }

    /// A required decimal: a JSON number or a decimal string, with its text verbatim.
    pub(super) fn decimal(
        &self,
        field: &'static str,
        currency: Currency,
    ) -> Result<(Amount, String), ParseError> {
        self.optional_decimal(field, currency)?.ok_or(error(field, "missing or null"))
    }

    /// An optional decimal: `None` if it is missing or null.
    pub(super) fn optional_decimal(
        &self,
        field: &'static str,
        currency: Currency,
    ) -> Result<Option<(Amount, String)>, ParseError> {
        let Some(raw) = self.optional(field)? else { return Ok(None) };
        let text = unquoted(raw).unwrap_or(Cow::Borrowed(raw.get()));
        let amount = Amount::parse(&text, currency).map_err(|problem| amount_error(field, problem))?;
        Ok(Some((amount, text.into_owned())))
    }

    /// Required minor units: a JSON integer, with its text verbatim.
    pub(super) fn minor_units(&self, field: &'static str) -> Result<(MinorUnits, String), ParseError> {
        let text = self.required(field)?.get();
        let units = MinorUnits::parse(text).map_err(|problem| amount_error(field, problem))?;
        Ok((units, text.to_owned()))
    }

    /// A timestamp; anything but exactly one readable text is unreadable, never an error.
    pub(super) fn timestamp(&self, field: &'static str) -> ObservedAt {
        ObservedAt::read(self.text(field).ok().as_deref())
    }

    fn required(&self, field: &'static str) -> Result<&'a RawValue, ParseError> {
        self.optional(field)?.ok_or(error(field, "missing or null"))
    }

    fn optional(&self, field: &'static str) -> Result<Option<&'a RawValue>, ParseError> {
        let mut given = self.0.iter().filter(|(name, _)| name == field);
        let first = given.next().map(|(_, raw)| *raw);
        if given.next().is_some() {
            return Err(error(field, "given twice"));
        }
        Ok(first.filter(|raw| raw.get() != "null"))
    }
}

impl<'a, 'de: 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    pairs.extend(name.map(|name| (name, raw)));
                }
                Ok(Fields(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// A field's name, borrowed where it holds no escape; `None` for a name that is not valid text, such as one with half
/// of a surrogate pair. No field that we read has such a name.
pub(super) struct Name<'a>(pub(super) Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(unquoted(raw)))
    }
}

/// A text, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string; `None` for any other value.
pub(super) fn unquoted(raw: &RawValue) -> Option<Cow<'_, str>> {
    // Only a JSON string begins with a quote. Without an escape, its text is what stands between the quotes.
    let text = raw.get().strip_prefix('"')?;
    match text.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(raw.get()).ok().map(|Text(text)| text),
    }
}

/// Why a text is not a JSON object: it is empty or cut, it is the HTML page of a proxy, or it is another value.
fn no_object(text: &str, problem: &serde_json::Error) -> &'static str {
    match text.trim_start().bytes().next() {
        None => "not a JSON object: it is empty",
        Some(b'<') => "not a JSON object: it looks like HTML",
        Some(_) if problem.is_eof() => "not a JSON object: it ends too early",
        Some(_) => "not a JSON object",
    }
}

pub(super) fn error(field: &'static str, problem: &'static str) -> ParseError {
    ParseError { field, problem }
}

pub(super) fn amount_error(field: &'static str, problem: AmountError) -> ParseError {
    let problem = match problem {
        AmountError::NotANumber => "not a decimal number",
        AmountError::NotAnInteger => "not a whole number of minor units",
        AmountError::OutOfRange => "more digits than can be held exactly",
        AmountError::NoMinorUnit => "the currency has no minor unit",
        AmountError::CurrencyMismatch => "different currencies",
    };
    error(field, problem)
}
