//! The mapping of a declared kind: the place of each amount in a body.

use super::pointer::Pointer;
use super::units::AmountUnit;
use crate::domain::Currency;

/// How a body becomes a balance.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// A whole number in the body that counts as the HTTP status.
    pub status: Option<Pointer>,
    /// Members that a body must have; otherwise the provider failed.
    pub success: Vec<Condition>,
    /// Members that must be null or missing.
    pub absent: Vec<Pointer>,
    /// The currency of the amounts.
    pub currency: CurrencyRule,
    /// The unit of the amounts.
    pub units: AmountUnit,
    /// The rows that every role without rows of its own reads.
    pub rows: Option<Rows>,
    /// Spendable now.
    pub available: Role,
    /// Held by operations in progress.
    pub blocked: Option<AmountOrSum>,
    /// Set aside.
    pub reserved: Option<AmountOrSum>,
    /// Being processed.
    pub processing: Option<AmountOrSum>,
    /// The provider's own total.
    pub total: Option<Role>,
    /// Further money fields, shown verbatim.
    pub report: Vec<Pointer>,
    /// The provider's own timestamp.
    pub observed_at: Option<Pointer>,
}

/// The currency of the amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrencyRule {
    /// Always this one; the body does not name it.
    Stated(Currency),
    /// The one that the body names.
    At {
        /// Where the body names it.
        at: Pointer,
        /// How it is spelled.
        case: Case,
        /// The only possible currency, if the kind has only one.
        only: Option<Currency>,
    },
}

impl CurrencyRule {
    /// The only currency of the kind, if it has only one.
    #[must_use]
    pub fn only(&self) -> Option<Currency> {
        match self {
            Self::Stated(currency) => Some(*currency),
            Self::At { only, .. } => *only,
        }
    }

    pub(super) fn case(&self) -> Case {
        match self {
            Self::Stated(_) => Case::Upper,
            Self::At { case, .. } => *case,
        }
    }
}

/// How a provider spells currency codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// `BRL`.
    #[default]
    Upper,
    /// `brl`.
    Lower,
}

impl Case {
    pub(super) fn matches(self, text: &str, currency: Currency) -> bool {
        match self {
            Self::Upper => text == currency.as_str(),
            Self::Lower => text == currency.as_str().to_ascii_lowercase(),
        }
    }
}

/// An array of rows, of which one is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The array.
    pub array: Pointer,
    /// Members that the row must have, besides its currency.
    pub conditions: Vec<Condition>,
}

/// A member that must hold this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The member.
    pub at: Pointer,
    /// Its value.
    pub expected: Expected,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A text.
    Text(String),
    /// A number, by its text.
    Number(String),
    /// True or false.
    Boolean(bool),
}

/// The place of one amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The amount.
    pub at: Pointer,
    /// The rows that contain it; `None` if the pointer starts at the body.
    pub rows: Option<Rows>,
    /// The place of the amount's own currency, if it has one.
    pub currency: Option<Pointer>,
    /// Whether it may be missing.
    pub is_optional: bool,
}

/// One amount, or the exact sum of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmountOrSum {
    /// One amount.
    One(Role),
    /// The sum of all of these.
    Sum(Vec<Role>),
}

impl AmountOrSum {
    /// Every role in it.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        match self {
            Self::One(role) => std::slice::from_ref(role),
            Self::Sum(roles) => roles,
        }
    }
}

impl Mapping {
    /// Every pointer that is read, starting at the body, with `[*]` for the rows of an array.
    #[must_use]
    pub fn pointers(&self) -> Vec<String> {
        let below = |rows: Option<&Rows>, at: &Pointer| match rows {
            Some(rows) => format!("{}[*]{at}", rows.array),
            None => at.to_string(),
        };
        let mut pointers: Vec<String> =
            self.status.iter().chain(&self.absent).chain(&self.observed_at).map(Pointer::to_string).collect();
        pointers.extend(self.success.iter().map(|condition| condition.at.to_string()));
        pointers.extend(self.report.iter().map(|at| below(self.rows.as_ref(), at)));
        let parts = self.parts();
        for role in parts.iter().flat_map(|(_, part)| part.roles()) {
            let rows = role.rows.as_ref();
            let conditions =
                rows.into_iter().flat_map(|rows| &rows.conditions).map(|condition| &condition.at);
            let own = std::iter::once(&role.at).chain(&role.currency).chain(conditions);
            pointers.extend(own.map(|at| below(rows, at)));
            if let CurrencyRule::At { at, .. } = &self.currency {
                pointers.push(below(rows, at));
            }
        }
        pointers
    }

    /// Every part with its name, in the order of the answer.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, AmountOrSum)> {
        let available = Some(AmountOrSum::One(self.available.clone()));
        let total = self.total.clone().map(AmountOrSum::One);
        let parts = [
            ("available", available),
            ("blocked", self.blocked.clone()),
            ("reserved", self.reserved.clone()),
            ("processing", self.processing.clone()),
            ("total", total),
        ];
        parts.into_iter().filter_map(|(name, part)| Some((name, part?))).collect()
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => f.write_str(number),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
        }
    }
}
