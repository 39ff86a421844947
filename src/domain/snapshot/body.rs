//! The JSON body of a balance: written once, then sent as it is or embedded in larger JSON.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::amount::Amount;
use crate::domain::currency::Currency;
use crate::domain::key::{AccountName, BalanceType, ProviderName};
use crate::domain::reading::{ObservedAt, Reading};

/// A body in its two forms, which share one text.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// For JSON that embeds it.
    pub(super) json: Arc<RawValue>,
    /// For an answer with only this body.
    pub(super) bytes: Bytes,
}

/// The text as the owner of its bytes.
struct Text(Arc<RawValue>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.get().as_bytes()
    }
}

impl Body {
    /// Writes the body.
    pub(super) fn new(fields: &Fields<'_>) -> Self {
        // Names, digits and timestamps serialise without failing.
        Self::of(to_raw_value(fields).unwrap_or_default())
    }

    /// Takes a body from the shared store; `None` if it is not JSON.
    pub(super) fn from_stored(body: Vec<u8>) -> Option<Self> {
        RawValue::from_string(String::from_utf8(body).ok()?).ok().map(Self::of)
    }

    fn of(json: Box<RawValue>) -> Self {
        let json = Arc::from(json);
        Self { bytes: Bytes::from_owner(Text(Arc::clone(&json))), json }
    }
}

/// The schema of a balance. Every provider has the same fields.
#[derive(Serialize)]
pub(super) struct Fields<'a> {
    pub(super) account: &'a AccountName,
    pub(super) provider: &'a ProviderName,
    pub(super) currency: Currency,
    pub(super) r#type: Option<&'a BalanceType>,
    pub(super) available: Amount,
    pub(super) blocked: Option<Amount>,
    pub(super) reserved: Option<Amount>,
    pub(super) processing: Option<Amount>,
    pub(super) total: Option<Amount>,
    #[serde(serialize_with = "as_map")]
    pub(super) reported: &'a [(Cow<'static, str>, String)],
    pub(super) observed_at: Option<String>,
    pub(super) fetched_at: String,
}

fn as_map<S: Serializer>(fields: &[(Cow<'static, str>, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, text)| (name, text)))
}

/// The body of a balance, with the fields of `T` after its own.
#[derive(Debug, Serialize)]
pub struct Extended<'a, T> {
    #[serde(flatten, serialize_with = "as_fields")]
    pub(super) body: &'a RawValue,
    #[serde(flatten)]
    pub(super) further: T,
}

/// Writes the fields of an object one by one. Their values stay as they are.
fn as_fields<S: Serializer>(object: &RawValue, serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serde_json::Deserializer::from_str(object.get());
    serializer.collect_map(object.deserialize_map(RawFields).map_err(S::Error::custom)?)
}

/// Splits an object into names and unparsed values.
struct RawFields;

impl<'de> Visitor<'de> for RawFields {
    type Value = Vec<(&'de str, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = object.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

/// A body from the shared store. Only fields that the gateway evaluates are parsed.
#[derive(Deserialize)]
pub(super) struct StoredFields<'a> {
    currency: Cow<'a, str>,
    available: Cow<'a, str>,
    blocked: Option<Cow<'a, str>>,
    reserved: Option<Cow<'a, str>>,
    processing: Option<Cow<'a, str>>,
    total: Option<Cow<'a, str>>,
    observed_at: Option<Timestamp>,
    fetched_at: Timestamp,
}

impl<'a> StoredFields<'a> {
    /// Parses the fields of a stored body.
    pub(super) fn parse(body: &'a RawValue) -> Option<Self> {
        serde_json::from_str(body.get()).ok()
    }

    /// The reading and `fetched_at`.
    pub(super) fn into_reading(self) -> Option<(Reading, Timestamp)> {
        let currency = Currency::parse(&self.currency)?;
        let amount = |text: &str| Amount::parse(text, currency).ok();
        let part =
            |text: &Option<Cow<'_, str>>| text.as_ref().map_or(Some(None), |text| amount(text).map(Some));
        let reading = Reading {
            available: amount(&self.available)?,
            blocked: part(&self.blocked)?,
            reserved: part(&self.reserved)?,
            processing: part(&self.processing)?,
            total: part(&self.total)?,
            reported: Vec::new(),
            observed_at: self.observed_at.map_or(ObservedAt::Undocumented, ObservedAt::At),
        };
        Some((reading, self.fetched_at))
    }
}
