//! NTX Pay Mexico: money is whole **centavos** of MXN, and there is no total: pending mixes outgoing and incoming.

use super::fields::{Fields, amount_error, error};
use super::{Provider, Scheme};
use crate::domain::{Amount, BodyError, Currency, ObservedAt, ParseError, Reading, Selector};

/// The platform.
pub(super) struct NtxpayMx;

impl Provider for NtxpayMx {
    fn kind(&self) -> &'static str {
        "ntxpay-mx"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    /// The provider once published 60 per minute for everything; this leaves room for other uses of the account.
    fn default_budget_per_minute(&self) -> u32 {
        50
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

    fn balance_url(&self, endpoint: &str, _: &Selector) -> String {
        endpoint.to_owned()
    }

    fn parse(&self, body: &[u8], _: &Selector) -> Result<Reading, BodyError> {
        let fields = Fields::parse(body)?;
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
            reported: vec![("availableCentavos", available_text), ("pendingCentavos", pending_text)],
            observed_at: ObservedAt::Undocumented,
        })
    }
}

fn centavos(fields: &Fields<'_>, field: &'static str) -> Result<(Amount, String), ParseError> {
    let (units, text) = fields.minor_units(field)?;
    let amount = units.in_major(Currency::MXN).map_err(|problem| amount_error(field, problem))?;
    Ok((amount, text))
}
