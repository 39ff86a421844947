//! The digits of whole numbers: what ISO 4217 says is not what every provider counts in.

use crate::config::reader::{Read, Value};
use crate::domain::Currency;
use crate::providers::Provider as _;
use crate::providers::declared::Declared;

/// Reports a currency that an account lists and whose digits its kind must state.
pub(in crate::config) fn require_digits(value: &Value<'_>, kind: &Declared, currency: Currency) -> Read<()> {
    if kind.units().know(currency) {
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
