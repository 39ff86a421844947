//! A currency code and its ISO 4217 exponent. A code outside ISO 4217 (BTC) is legal and has no exponent: its
//! amounts keep exactly the digits that the provider sent.

use std::fmt;

use serde::{Serialize, Serializer};

/// ISO 4217 codes with two minor digits (list one, amendment 179).
const TWO_DIGITS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP \
     BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS \
     GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL \
     MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR \
     RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS \
     UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";
/// ISO 4217 codes with no minor digits.
const NO_DIGITS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// ISO 4217 codes with three minor digits.
const THREE_DIGITS: &str = "BHD IQD JOD KWD LYD OMR TND";
/// ISO 4217 codes with four minor digits.
const FOUR_DIGITS: &str = "CLF UYW";

/// Codes for which some provider uses other minor digits than ISO 4217: Adyen counts CLP in hundredths, another
/// provider counts HUF in whole units.
const DISPUTED: [&str; 9] = ["CLP", "COP", "CVE", "HUF", "IDR", "ISK", "MGA", "TWD", "UGX"];

/// The longest allowed code.
const LONGEST: usize = 10;

/// A currency code: 2 to 10 of `A`–`Z` and `0`–`9`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; LONGEST],
    length: u8,
    exponent: Option<u8>,
}

impl Currency {
    /// Brazilian real, the only currency of `ntxpay-br` and `avista`.
    pub const BRL: Self = Self::with_exponent(*b"BRL", 2);
    /// Mexican peso, the only currency of `ntxpay-mx`.
    pub const MXN: Self = Self::with_exponent(*b"MXN", 2);

    const fn with_exponent(letters: [u8; 3], exponent: u8) -> Self {
        let mut code = [0; LONGEST];
        code[0] = letters[0];
        code[1] = letters[1];
        code[2] = letters[2];
        Self { code, length: 3, exponent: Some(exponent) }
    }

    /// Parses a code exactly as written; `None` unless it is 2 to 10 capital letters or digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_code = (2..=LONGEST).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_code {
            return None;
        }
        let mut code = [0; LONGEST];
        code[..bytes.len()].copy_from_slice(bytes);
        let length = u8::try_from(bytes.len()).ok()?;
        Some(Self { code, length, exponent: iso_exponent(text) })
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.code[..usize::from(self.length)]).unwrap_or_default()
    }

    /// The number of minor digits in ISO 4217; `None` for other codes.
    #[must_use]
    pub fn exponent(self) -> Option<u8> {
        self.exponent
    }

    /// Whether a provider's minor digits for this code must be stated: ISO 4217 gives a number other than two, or does
    /// not list the code, or some provider uses another number.
    #[must_use]
    pub fn has_disputed_digits(self) -> bool {
        self.exponent != Some(2) || DISPUTED.contains(&self.as_str())
    }
}

fn iso_exponent(code: &str) -> Option<u8> {
    let lists = [(TWO_DIGITS, 2), (NO_DIGITS, 0), (THREE_DIGITS, 3), (FOUR_DIGITS, 4)];
    let listed = |list: &str| list.split_ascii_whitespace().any(|listed| listed == code);
    lists.into_iter().find(|(list, _)| listed(list)).map(|(_, exponent)| exponent)
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_the_one_of_iso_4217() {
        for (code, exponent) in [
            ("BRL", Some(2)),
            ("MXN", Some(2)),
            ("EUR", Some(2)),
            ("JPY", Some(0)),
            ("KWD", Some(3)),
            ("CLF", Some(4)),
            ("BTC", None),
            ("USDT", None),
        ] {
            assert_eq!(Currency::parse(code).unwrap().exponent(), exponent, "{code}");
        }
    }

    #[test]
    fn the_constants_equal_parsed_codes() {
        assert_eq!(Currency::parse("BRL"), Some(Currency::BRL));
        assert_eq!(Currency::parse("MXN"), Some(Currency::MXN));
    }

    #[test]
    fn a_code_is_two_to_ten_capitals_or_digits() {
        for text in ["", "B", "brl", "BRL ", "ABCDEFGHIJK", "R$", "BRÉ"] {
            assert_eq!(Currency::parse(text), None, "{text:?}");
        }
        assert_eq!(Currency::parse("1INCH").unwrap().as_str(), "1INCH");
    }
}
