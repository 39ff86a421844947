//! NTX Pay Mexico: money is whole **centavos** of MXN, and there is no total, because pending mixes outgoing and
//! incoming money.

use super::fields::{Fields, amount_error, body_text, error};
use super::{Authorisation, Figure, Provider, RequestError, Scheme, request};
use crate::domain::{Amount, BodyError, Currency, ObservedAt, ParseError, Reading, Selector};

/// The platform.
pub(super) struct NtxpayMx;

impl Provider for NtxpayMx {
    fn kind(&self) -> &'static str {
        "ntxpay-mx"
    }

    fn default_base_url(&self) -> Option<&str> {
        None
    }

    /// The provider once published 60 per minute for everything; this leaves room for other uses of the account.
    fn default_budget_per_minute(&self) -> Option<u32> {
        Some(50)
    }

    fn scheme(&self) -> Scheme {
        Scheme::Token
    }

    fn only_currency(&self) -> Option<Currency> {
        Some(Currency::MXN)
    }

    fn reports_total(&self) -> bool {
        false
    }

    fn figures(&self) -> &'static [Figure] {
        &[
            Figure { role: "available", pointer: "/availableCentavos", units: "minor, 2 digits" },
            Figure { role: "blocked", pointer: "/pendingCentavos", units: "minor, 2 digits" },
        ]
    }

    fn request(
        &self,
        endpoint: &str,
        _: &Selector,
        authorisation: &Authorisation,
    ) -> Result<http::Request<Vec<u8>>, RequestError> {
        request::get(endpoint, authorisation)
    }

    fn parse(&self, body: &[u8], _: &Selector) -> Result<Reading, BodyError> {
        let text = body_text(body);
        let fields = Fields::parse(&text)?;
        if fields.text("currency")? != Currency::MXN.as_str() {
            return Err(error("currency", "not MXN").into());
        }
        let (available, available_text) = centavos(&fields, "availableCentavos")?;
        let (pending, pending_text) = centavos(&fields, "pendingCentavos")?;
        Ok(Reading {
            available,
            blocked: Some(pending),
            reserved: None,
            processing: None,
            total: None,
            reported: vec![
                ("availableCentavos".into(), available_text),
                ("pendingCentavos".into(), pending_text),
            ],
            observed_at: ObservedAt::Undocumented,
        })
    }
}

fn centavos(fields: &Fields<'_>, field: &'static str) -> Result<(Amount, String), ParseError> {
    let (units, text) = fields.minor_units(field)?;
    let amount = units.in_major(Currency::MXN).map_err(|problem| amount_error(field, problem))?;
    Ok((amount, text))
}
