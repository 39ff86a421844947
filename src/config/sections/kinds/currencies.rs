//! The digits of amounts in minor units: not every provider uses the digits of ISO 4217.

use crate::config::reader::{Read, Value};
use crate::domain::Currency;
use crate::providers::Provider as _;
use crate::providers::declared::Declared;

/// Reports a currency of an account whose digits its kind must state but does not.
pub(in crate::config) fn require_digits(value: &Value<'_>, kind: &Declared, currency: Currency) -> Read<()> {
    if kind.units().knows(currency) {
        return Ok(());
    }
    let expected = expected_digits(currency);
    Err(value.wrong(&format!("kinds.{}.digits: {expected}", kind.kind())))
}

pub(super) fn expected_digits(currency: Currency) -> String {
    let why = match (currency.exponent(), currency.as_str()) {
        (None, _) => "ISO 4217 does not know it".to_owned(),
        (Some(_), "CLP") => "Adyen counts CLP in hundredths, Fintoc in pesos".to_owned(),
        (Some(digits), _) => format!("ISO 4217 gives {digits} digits, which not every provider uses"),
    };
    format!("expected the digits of {currency}, as {{ {currency} = 2 }}: {why}")
}
