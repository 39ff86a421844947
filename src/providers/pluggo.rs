//! Pluggo: several balances per account, chosen by filters; the body names the currency, but not the type. An error may
//! be reported as a `code` in the body of a 200.

use super::fields::{Fields, body_text, error};
use super::{Authorisation, Figure, Provider, RequestError, Scheme, request};
use crate::domain::{BodyError, Currency, Reading, Selector};

/// The platform.
pub(super) struct Pluggo;

impl Provider for Pluggo {
    fn kind(&self) -> &'static str {
        "pluggo"
    }

    fn default_base_url(&self) -> Option<&str> {
        None
    }

    fn scheme(&self) -> Scheme {
        Scheme::Keys
    }

    fn only_currency(&self) -> Option<Currency> {
        None
    }

    fn reports_total(&self) -> bool {
        false
    }

    fn figures(&self) -> &'static [Figure] {
        &[
            Figure { role: "available", pointer: "/content/balance", units: "major" },
            Figure { role: "blocked", pointer: "/content/blocked", units: "major" },
            Figure { role: "reserved", pointer: "/content/reserve", units: "major" },
            Figure { role: "processing", pointer: "/content/processing", units: "major" },
        ]
    }

    fn request(
        &self,
        endpoint: &str,
        selector: &Selector,
        authorisation: &Authorisation,
    ) -> Result<http::Request<Vec<u8>>, RequestError> {
        request::get(&balance_url(endpoint, selector), authorisation)
    }

    fn parse(&self, body: &[u8], selector: &Selector) -> Result<Reading, BodyError> {
        let text = body_text(body);
        let fields = Fields::parse(&text)?;
        match fields.integer("code")? {
            200..=299 => {}
            status @ 400..=599 => return Err(BodyError::Status(u16::try_from(status).unwrap_or_default())),
            _ => return Err(error("code", "neither success nor failure").into()),
        }
        let content = fields.object("content")?;
        let currency =
            Currency::parse(&content.text("currency")?).ok_or(error("currency", "not a currency code"))?;
        if selector.currency.is_some_and(|asked| asked != currency) {
            return Err(error("currency", "not the one asked for").into());
        }
        let (available, available_text) = content.decimal("balance", currency)?;
        let mut reported = vec![("balance".into(), available_text)];
        let mut part = |field: &'static str| -> Result<_, BodyError> {
            let Some((amount, text)) = content.optional_decimal(field, currency)? else { return Ok(None) };
            reported.push((field.into(), text));
            Ok(Some(amount))
        };
        let (blocked, reserved, processing) = (part("blocked")?, part("reserve")?, part("processing")?);
        Ok(Reading {
            available,
            blocked,
            reserved,
            processing,
            total: None,
            reported,
            observed_at: fields.timestamp("timestamp"),
        })
    }
}

/// The URL with the selector as filters. Nothing needs escaping: currencies and types hold only letters, digits and
/// `_`.
fn balance_url(endpoint: &str, selector: &Selector) -> String {
    let currency = selector.currency.as_ref().map(|currency| ("currency", currency.as_str()));
    let r#type = selector.r#type.as_ref().map(|r#type| ("type", r#type.as_str()));
    let mut url = endpoint.to_owned();
    for ((name, value), separator) in currency.into_iter().chain(r#type).zip(["?", "&"]) {
        url = [&url, separator, name, "=", value].concat();
    }
    url
}
