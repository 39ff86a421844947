//! How amounts, their units and their currency are written in the configuration.

use toml::de::DeValue;

use super::texts::{Conditions, table};
use crate::config::reader::{Read, Setting, Value, quoted};
use crate::domain::Currency;
use crate::providers::declared::{AmountUnit, Case, CurrencyRule, Digits, Pointer};

/// The most digits that a decimal holds.
const MOST_DECIMALS: u32 = 28;
/// The most digits of a smallest unit: more than any currency has.
const MOST_DIGITS: u32 = 18;

/// One amount in the configuration.
#[derive(Clone, Debug)]
pub(super) struct WrittenRole {
    pub(in crate::config) at: Pointer,
    pub(in crate::config) rows: Option<Pointer>,
    pub(super) conditions: Option<Conditions>,
    pub(in crate::config) currency: Option<Pointer>,
    pub(super) is_optional: bool,
}

impl Setting for WrittenRole {
    const EXPECTED: &'static str =
        "a JSON pointer, such as \"/balance\", or { at, rows, where, currency, optional }";

    fn read(value: &Value<'_>) -> Read<Self> {
        if let DeValue::String(_) = value.toml() {
            let at = Pointer::read(value)?;
            return Ok(Self { at, rows: None, conditions: None, currency: None, is_optional: false });
        }
        let mut section = value.section(Self::EXPECTED)?;
        let at = section.required("at");
        let rows = section.optional("rows");
        let conditions = section.optional("where");
        let currency = section.optional("currency");
        let is_optional = section.or("optional", false);
        section.close();
        let (rows, conditions, currency) = (rows?, conditions?, currency?);
        Ok(Self { at: at?, rows, conditions, currency, is_optional: is_optional? })
    }

    fn show(&self) -> String {
        if self.rows.is_none() && self.conditions.is_none() && self.currency.is_none() && !self.is_optional {
            return self.at.show();
        }
        let entries = [
            Some(("at", self.at.show())),
            self.rows.as_ref().map(|rows| ("rows", rows.show())),
            self.conditions.as_ref().map(|conditions| ("where", conditions.show())),
            self.currency.as_ref().map(|currency| ("currency", currency.show())),
            self.is_optional.then(|| ("optional", "true".to_owned())),
        ];
        table(entries.into_iter().flatten())
    }
}

/// One amount, or a sum of several, in the configuration.
#[derive(Clone, Debug)]
pub(super) enum WrittenAmountOrSum {
    One(WrittenRole),
    Sum(Vec<WrittenRole>),
}

impl WrittenAmountOrSum {
    /// Every amount in it.
    pub(super) fn roles(&self) -> &[WrittenRole] {
        match self {
            Self::One(role) => std::slice::from_ref(role),
            Self::Sum(roles) => roles,
        }
    }
}

impl Setting for WrittenAmountOrSum {
    const EXPECTED: &'static str =
        "a JSON pointer, { at, rows, where, currency, optional } or { sum = [\"/a\", \"/b\"] }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let is_sum = matches!(value.toml(), DeValue::Table(table) if table.contains_key("sum"));
        if !is_sum {
            return WrittenRole::read(value).map(Self::One);
        }
        let mut section = value.section(Self::EXPECTED)?;
        let sum: Read<Vec<WrittenRole>> = section.required("sum");
        section.close();
        let sum = sum?;
        if !(2..=8).contains(&sum.len()) {
            return Err(value.wrong("expected a sum of 2 to 8 amounts"));
        }
        if sum.iter().any(|role| role.is_optional) {
            return Err(value.wrong("expected no optional amount in a sum, as each of them is required"));
        }
        Ok(Self::Sum(sum))
    }

    fn show(&self) -> String {
        match self {
            Self::One(role) => role.show(),
            Self::Sum(roles) => table(std::iter::once(("sum", roles.show()))),
        }
    }
}

impl Setting for CurrencyRule {
    const EXPECTED: &'static str = "the currency code of all balances, or { at = \"/currency\", case = \"lower\", only = \"BRL\" } if the body names the currency";

    fn read(value: &Value<'_>) -> Read<Self> {
        if let DeValue::String(_) = value.toml() {
            let stated = value.text(Self::EXPECTED, Currency::parse);
            return stated.map(Self::Stated);
        }
        let mut section = value.section(Self::EXPECTED)?;
        let at = section.required("at");
        let case = section.or("case", Case::Upper);
        let only = section.optional("only");
        section.close();
        Ok(Self::At { at: at?, case: case?, only: only? })
    }

    fn show(&self) -> String {
        match self {
            Self::Stated(currency) => currency.show(),
            Self::At { at, case, only } => {
                let only = only.map(|only| ("only", only.show()));
                let entries = [("at", at.show()), ("case", case.show())];
                table(entries.into_iter().chain(only))
            }
        }
    }
}

impl Setting for Case {
    const EXPECTED: &'static str = "\"upper\" or \"lower\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| match text {
            "upper" => Some(Self::Upper),
            "lower" => Some(Self::Lower),
            _ => None,
        })
    }

    fn show(&self) -> String {
        quoted(match self {
            Self::Upper => "upper",
            Self::Lower => "lower",
        })
    }
}

/// The unit in the configuration: `digits` is a separate key.
#[derive(Clone, Copy, Debug)]
pub(super) enum WrittenUnit {
    Major,
    Minor,
    MajorWith(u8),
    MinorWith(u8),
}

impl WrittenUnit {
    pub(in crate::config) fn with(self, digits: Option<Digits>) -> AmountUnit {
        match self {
            Self::Major => AmountUnit::Major,
            Self::MajorWith(most) => AmountUnit::MajorWith(most),
            Self::Minor => AmountUnit::Minor(digits.unwrap_or_default()),
            Self::MinorWith(digits) => AmountUnit::MinorWith(digits),
        }
    }
}

impl Setting for WrittenUnit {
    const EXPECTED: &'static str = "\"major\" for decimals, \"minor\" for whole numbers of the smallest unit, or \
         { major = 4 } or { minor = 4 } for 4 digits";

    fn read(value: &Value<'_>) -> Read<Self> {
        if let DeValue::String(_) = value.toml() {
            return value.text(Self::EXPECTED, |text| match text {
                "major" => Some(Self::Major),
                "minor" => Some(Self::Minor),
                _ => None,
            });
        }
        let mut section = value.section(Self::EXPECTED)?;
        let (major, minor) = (
            read_digits(section.value("major"), MOST_DECIMALS),
            read_digits(section.value("minor"), MOST_DIGITS),
        );
        section.close();
        match (major?, minor?) {
            (Some(most), None) => Ok(Self::MajorWith(most)),
            (None, Some(digits)) => Ok(Self::MinorWith(digits)),
            _ => Err(value.expected(Self::EXPECTED)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Major => quoted("major"),
            Self::Minor => quoted("minor"),
            Self::MajorWith(most) => format!("{{ major = {most} }}"),
            Self::MinorWith(digits) => format!("{{ minor = {digits} }}"),
        }
    }
}

fn read_digits(value: Option<Value<'_>>, most: u32) -> Read<Option<u8>> {
    let read = |value: Value<'_>| {
        let digits = u32::read(&value).ok().filter(|digits| *digits <= most);
        let digits = digits.and_then(|digits| u8::try_from(digits).ok());
        digits.ok_or_else(|| value.wrong(&format!("expected a whole number from 0 to {most}")))
    };
    value.map(read).transpose()
}

impl Setting for Digits {
    const EXPECTED: &'static str = "a table of currency codes and digits, such as { CLP = 2 }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let read = |(code, value): (&str, Value<'_>)| {
            let currency = Currency::parse(code).ok_or_else(|| {
                value.wrong(&format!("expected a currency code as the key, {}", Currency::EXPECTED))
            });
            let digits = read_digits(Some(value.clone()), MOST_DIGITS)?;
            let (currency, digits) = (currency?, digits.unwrap_or_default());
            if currency.exponent() == Some(digits) && !currency.has_disputed_digits() {
                return Err(value.wrong(&format!(
                    "expected other digits than ISO 4217's {digits}, which every provider uses for {currency}"
                )));
            }
            Ok((currency, digits))
        };
        let all: Vec<Read<_>> = value.section(Self::EXPECTED)?.entries().into_iter().map(read).collect();
        Ok(Self(all.into_iter().collect::<Read<_>>()?))
    }

    fn show(&self) -> String {
        table(self.0.iter().map(|(currency, digits)| (currency.as_str(), digits.to_string())))
    }
}
