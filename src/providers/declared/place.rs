//! The place of one amount in a body: in the body itself or in a row.

use super::mapping::{CurrencyRule, Role};
use super::rows::{Array, MatchingRows};
use super::shape::{Shape, ValueIndex, Values};
use crate::domain::{Currency, ParseError};
use crate::providers::fields::error;

/// The place of one amount.
#[derive(Debug)]
pub(super) struct AmountPlace {
    base: Base,
    pub(super) index: ValueIndex,
    pub(super) currency: Option<ValueIndex>,
    is_optional: bool,
    /// Its name in `reported`.
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Body,
    Row { array: usize, filter: usize },
}

/// The place of a row: the index of its array, its number from 0, and the number of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPlace {
    pub(super) array: usize,
    pub(super) number: usize,
    pub(super) count: usize,
}

/// The values of one body, for one currency.
pub(super) struct OneBody<'f, 'a> {
    pub(super) values: &'f Values<'a>,
    pub(super) chosen: &'f [MatchingRows<'a>],
    pub(super) currency: Currency,
}

impl AmountPlace {
    pub(super) fn new(
        role: &Role,
        currency: &CurrencyRule,
        shape: &mut Shape,
        arrays: &mut Vec<Array>,
        names: &mut Vec<String>,
    ) -> Self {
        let name = unique_name(role, names);
        let is_optional = role.is_optional;
        let (Some(rows), CurrencyRule::At { at, .. }) = (&role.rows, currency) else {
            let currency = role.currency.as_ref().map(|at| shape.index_of(at));
            return Self { base: Base::Body, index: shape.index_of(&role.at), currency, is_optional, name };
        };
        let array = arrays.iter().position(|array| *array.pointer() == rows.array).unwrap_or_else(|| {
            arrays.push(Array::new(&rows.array, at, shape));
            arrays.len() - 1
        });
        let filter = arrays[array].filter(&rows.conditions);
        let row = arrays[array].shape();
        Self {
            base: Base::Row { array, filter },
            index: row.index_of(&role.at),
            currency: role.currency.as_ref().map(|at| row.index_of(at)),
            is_optional,
            name,
        }
    }

    /// The values of the body or of the chosen row; `None` where there is no such row.
    pub(super) fn values<'f, 'a>(
        &self,
        body: &OneBody<'f, 'a>,
    ) -> Option<(&'f Values<'a>, Option<RowPlace>)> {
        match self.base {
            Base::Body => Some((body.values, None)),
            Base::Row { array, filter } => {
                let (number, count, values) = body.chosen.get(array)?.row(filter)?;
                Some((values, Some(RowPlace { array, number, count })))
            }
        }
    }

    /// The result for a role without a value: an error unless it is optional.
    pub(super) fn missing<T>(
        &self,
        role: &'static str,
        problem: &'static str,
    ) -> Result<Option<T>, ParseError> {
        if self.is_optional { Ok(None) } else { Err(error(role, problem)) }
    }
}

/// The name in `reported`: array and pointer. The conditions stand between them if the name is already taken, because
/// two rows of one array give the same member.
fn unique_name(role: &Role, names: &mut Vec<String>) -> String {
    let array = role.rows.as_ref().map_or("", |rows| rows.array.as_str());
    let mut name = [array, role.at.as_str()].concat();
    if names.contains(&name) {
        let conditions = role.rows.iter().flat_map(|rows| &rows.conditions);
        let conditions = conditions.map(|condition| format!("{}={}", condition.at, condition.expected));
        name = format!("{array}[{}]{}", conditions.collect::<Vec<_>>().join(","), role.at);
    }
    names.push(name.clone());
    name
}
