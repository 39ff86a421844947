//! The units of amounts. Nothing here has a default: a wrong unit is wrong by a factor of one hundred.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::domain::{Amount, AmountError, Currency, MinorUnits, ParseError};
use crate::providers::fields::{amount_error, error, unquoted};

/// The unit of every amount of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmountUnit {
    /// Decimals with at most as many digits as the currency has.
    Major,
    /// Decimals with at most this many digits.
    MajorWith(u8),
    /// Whole numbers of the currency's smallest unit, with ISO 4217's digits unless the list states others.
    Minor(Digits),
    /// Whole numbers with this many digits, for every currency.
    MinorWith(u8),
}

/// The stated digits of some currencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digits(pub Vec<(Currency, u8)>);

impl Digits {
    /// The minor digits of a whole number in this currency; `None` if they must be stated but are not.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Option<u8> {
        let stated = self.0.iter().find(|(stated, _)| *stated == currency).map(|(_, digits)| *digits);
        stated.or_else(|| currency.exponent().filter(|_| !currency.has_disputed_digits()))
    }
}

impl AmountUnit {
    /// Whether the amounts of a currency have a known unit.
    #[must_use]
    pub fn knows(&self, currency: Currency) -> bool {
        match self {
            Self::Major | Self::MajorWith(_) | Self::MinorWith(_) => true,
            Self::Minor(digits) => digits.of(currency).is_some(),
        }
    }

    /// Reads one amount, with its text verbatim.
    pub(super) fn read(
        &self,
        role: &'static str,
        raw: &RawValue,
        currency: Currency,
    ) -> Result<(Amount, String), ParseError> {
        let text = unquoted(raw).unwrap_or(Cow::Borrowed(raw.get()));
        let amount = match self {
            Self::Major => within(role, Amount::parse(&text, currency), currency.exponent()),
            Self::MajorWith(most) => within(role, Amount::parse(&text, currency), Some(*most)),
            Self::Minor(digits) => whole(role, &text, digits.of(currency), currency),
            Self::MinorWith(digits) => whole(role, &text, Some(*digits), currency),
        }?;
        Ok((amount, text.into_owned()))
    }

    /// The unit in this currency, for people.
    #[must_use]
    pub fn describe(&self, currency: Currency) -> String {
        let of = |digits: Option<u8>| digits.map_or("?".to_owned(), |digits| digits.to_string());
        match self {
            Self::Major => "major".to_owned(),
            Self::MajorWith(most) => format!("major, at most {most} digits"),
            Self::Minor(digits) => format!("minor, {} digits", of(digits.of(currency))),
            Self::MinorWith(digits) => format!("minor, {digits} digits"),
        }
    }
}

fn within(
    role: &'static str,
    amount: Result<Amount, AmountError>,
    most: Option<u8>,
) -> Result<Amount, ParseError> {
    let amount = amount.map_err(|problem| amount_error(role, problem))?;
    if most.is_some_and(|most| amount.significant_decimals() > u32::from(most)) {
        return Err(error(role, "more decimals than the unit has"));
    }
    Ok(amount)
}

fn whole(
    role: &'static str,
    text: &str,
    digits: Option<u8>,
    currency: Currency,
) -> Result<Amount, ParseError> {
    let digits = digits.ok_or(error(role, "the kind states no digits for this currency"))?;
    let units = MinorUnits::parse(text).map_err(|problem| amount_error(role, problem))?;
    units.in_major_with(digits, currency).map_err(|problem| amount_error(role, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(units: &AmountUnit, json: &str, code: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let amount = units.read("available", raw, Currency::parse(code).unwrap());
        amount.ok().map(|(amount, _)| amount.to_string())
    }

    #[test]
    fn major_units_have_no_more_decimals_than_the_currency() {
        for (json, code, expected) in [
            ("48734.9", "BRL", Some("48734.90")),
            (r#""48734.90""#, "BRL", Some("48734.90")),
            ("48734.900", "BRL", Some("48734.900")),
            ("1e2", "BRL", Some("100.00")),
            ("32851.869999999995", "BRL", None),
            (r#""1.234""#, "BRL", None),
            ("1.5", "CLP", None),
            ("1.0", "CLP", Some("1.0")),
            ("0.12345678", "BTC", Some("0.12345678")),
            ("true", "BRL", None),
            (r#""1,5""#, "BRL", None),
            (r#""R$ 1.00""#, "BRL", None),
            ("[1]", "BRL", None),
        ] {
            assert_eq!(read(&AmountUnit::Major, json, code).as_deref(), expected, "{json} {code}");
        }
        let four = AmountUnit::MajorWith(4);
        assert_eq!(read(&four, "1.2345", "BRL").as_deref(), Some("1.2345"));
        assert_eq!(read(&four, "1.23450", "BRL").as_deref(), Some("1.23450"));
        assert_eq!(read(&four, "1.23456", "BRL"), None);
    }

    #[test]
    fn minor_units_are_whole_and_have_known_digits() {
        let clp = Currency::parse("CLP").unwrap();
        let stated = AmountUnit::Minor(Digits(vec![(clp, 2)]));
        let none = AmountUnit::Minor(Digits::default());
        for (units, json, code, expected) in [
            (&none, "4873491", "BRL", Some("48734.91")),
            (&none, r#""4873491""#, "BRL", Some("48734.91")),
            (&none, "-7", "BRL", Some("-0.07")),
            (&none, "4873491.0", "BRL", None),
            (&none, "1e2", "BRL", None),
            (&none, "4873491", "CLP", None),
            (&none, "4873491", "JPY", None),
            (&none, "4873491", "BTC", None),
            (&stated, "4873491", "CLP", Some("48734.91")),
            (&AmountUnit::MinorWith(4), "4873491", "USD", Some("487.3491")),
        ] {
            assert_eq!(read(units, json, code).as_deref(), expected, "{json} {code}");
        }
    }
}
