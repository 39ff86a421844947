//! NTX Pay Brazil and Avista: two brands of one platform. Money is decimal BRL; the net figure is the available amount.

use super::fields::{Fields, body_text};
use super::{Authorisation, Figure, Provider, RequestError, Scheme, request};
use crate::domain::{BodyError, Currency, Reading, Selector};

/// One brand of the platform.
pub(super) struct NtxpayBr {
    kind: &'static str,
    base_url: &'static str,
}

pub(super) const NTXPAY_BR: NtxpayBr = NtxpayBr { kind: "ntxpay-br", base_url: "https://api.ntxpay.com" };
pub(super) const AVISTA: NtxpayBr = NtxpayBr { kind: "avista", base_url: "https://api.avista.global" };

impl Provider for NtxpayBr {
    fn kind(&self) -> &str {
        self.kind
    }

    fn default_base_url(&self) -> Option<&str> {
        Some(self.base_url)
    }

    fn scheme(&self) -> Scheme {
        Scheme::Token
    }

    fn only_currency(&self) -> Option<Currency> {
        Some(Currency::BRL)
    }

    fn reports_total(&self) -> bool {
        true
    }

    fn figures(&self) -> &'static [Figure] {
        &[
            Figure { role: "available", pointer: "/netBalance", units: "major" },
            Figure { role: "blocked", pointer: "/blockedBalance", units: "major" },
            Figure { role: "total", pointer: "/grossBalance", units: "major" },
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
        let (gross, gross_text) = fields.decimal("grossBalance", Currency::BRL)?;
        let (blocked, blocked_text) = fields.decimal("blockedBalance", Currency::BRL)?;
        let (net, net_text) = fields.decimal("netBalance", Currency::BRL)?;
        Ok(Reading {
            available: net,
            blocked: Some(blocked),
            reserved: None,
            processing: None,
            total: Some(gross),
            reported: vec![
                ("grossBalance".into(), gross_text),
                ("blockedBalance".into(), blocked_text),
                ("netBalance".into(), net_text),
            ],
            observed_at: fields.timestamp("consultedAt"),
        })
    }
}
