//! Checks one member of a body: whether it exists, and whether it has the expected value.

use serde_json::value::RawValue;

use super::mapping::{Condition, Expected};
use super::shape::{MemberValue, Shape, ValueIndex};
use crate::domain::ParseError;
use crate::providers::fields::{error, unquoted};

/// A member and the value that it must hold.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) index: ValueIndex,
    expected: Expected,
}

impl Check {
    pub(super) fn new(shape: &mut Shape, condition: &Condition) -> Self {
        Self { index: shape.index_of(&condition.at), expected: condition.expected.clone() }
    }

    /// Whether a value is the expected one, of the same JSON type.
    pub(super) fn holds(&self, raw: Option<&RawValue>) -> bool {
        let Some(raw) = raw else { return false };
        match &self.expected {
            Expected::Text(text) => unquoted(raw).is_some_and(|read| read == *text),
            Expected::Number(number) => raw.get() == number,
            Expected::Boolean(boolean) => raw.get() == if *boolean { "true" } else { "false" },
        }
    }
}

/// An optional value: `None` if it is missing or null.
pub(super) fn optional<'a>(
    field: &'static str,
    found: MemberValue<'a>,
) -> Result<Option<&'a RawValue>, ParseError> {
    found.map_err(|unreadable| unreadable.in_field(field))
}

/// A required value.
pub(super) fn required<'a>(field: &'static str, found: MemberValue<'a>) -> Result<&'a RawValue, ParseError> {
    optional(field, found)?.ok_or(error(field, "missing or null"))
}
