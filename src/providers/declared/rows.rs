//! Finds the one row of an array whose currency and conditions match. The order of rows never matters.

use serde_json::value::RawValue;

use super::check::{Check, required};
use super::mapping::{Case, Condition};
use super::pointer::Pointer;
use super::shape::{Shape, Unreadable, ValueIndex, Values};
use crate::domain::{Currency, ParseError};
use crate::providers::fields::{error, unquoted};

/// An array, and the members that are read from its rows.
#[derive(Debug)]
pub(super) struct Array {
    pointer: Pointer,
    index: ValueIndex,
    row: Shape,
    currency: ValueIndex,
    filters: Vec<RowFilter>,
}

#[derive(Debug)]
struct RowFilter {
    conditions: Vec<Condition>,
    checks: Vec<Check>,
}

/// The rows of one array, and for each filter the number of the row that matches.
#[derive(Debug)]
pub(super) struct MatchingRows<'a> {
    rows: Vec<Values<'a>>,
    by_filter: Vec<Option<usize>>,
}

impl<'a> MatchingRows<'a> {
    /// The chosen row: its number, the number of rows, and its values.
    pub(super) fn row(&self, filter: usize) -> Option<(usize, usize, &Values<'a>)> {
        let row = (*self.by_filter.get(filter)?)?;
        Some((row, self.rows.len(), self.rows.get(row)?))
    }
}

impl Array {
    pub(super) fn new(pointer: &Pointer, currency: &Pointer, body: &mut Shape) -> Self {
        let mut row = Shape::default();
        let (index, currency) = (body.index_of(pointer), row.index_of(currency));
        Self { pointer: pointer.clone(), index, row, currency, filters: Vec::new() }
    }

    pub(super) fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// The members that are read from each row.
    pub(super) fn shape(&mut self) -> &mut Shape {
        &mut self.row
    }

    /// The index of the filter with these conditions. Equal conditions share one filter.
    pub(super) fn filter(&mut self, conditions: &[Condition]) -> usize {
        let known = self.filters.iter().position(|filter| filter.conditions == conditions);
        known.unwrap_or_else(|| {
            let checks = conditions.iter().map(|condition| Check::new(&mut self.row, condition)).collect();
            self.filters.push(RowFilter { conditions: conditions.to_vec(), checks });
            self.filters.len() - 1
        })
    }

    /// Finds the row of each filter. Currency and conditions are checked in every row; amounts are read only from
    /// the chosen row.
    pub(super) fn choose<'a>(
        &self,
        body: &Values<'a>,
        case: Case,
        currency: Currency,
    ) -> Result<MatchingRows<'a>, ParseError> {
        let mut chosen = MatchingRows { rows: Vec::new(), by_filter: vec![None; self.filters.len()] };
        let Some(raw) = body.get(self.index).map_err(|unreadable| unreadable.in_field("rows"))? else {
            return Ok(chosen);
        };
        let rows: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| error("rows", "not an array"))?;
        for (number, row) in rows.into_iter().enumerate() {
            if !row.get().starts_with('{') {
                return Err(error("rows", "a row that is no object"));
            }
            let values = self.row.read(row.get()).ok_or(error("rows", "a row that is no object"))?;
            let named = required("currency", values.get(self.currency))?;
            let named = unquoted(named).ok_or(error("currency", "not a string"))?;
            let is_asked = case.matches(&named, currency);
            for (filter, choice) in self.filters.iter().zip(&mut chosen.by_filter) {
                if filter.holds(&values)? && is_asked && choice.replace(number).is_some() {
                    return Err(error("rows", "two rows match"));
                }
            }
            chosen.rows.push(values);
        }
        Ok(chosen)
    }
}

impl RowFilter {
    fn holds(&self, row: &Values<'_>) -> Result<bool, ParseError> {
        let mut holds = true;
        for check in &self.checks {
            holds &= match row.get(check.index) {
                Ok(raw) => check.holds(raw),
                Err(Unreadable::GivenTwice) => return Err(error("where", "given twice")),
                Err(Unreadable::Array | Unreadable::NoObject) => false,
            };
        }
        Ok(holds)
    }
}

impl Unreadable {
    pub(super) fn in_field(self, field: &'static str) -> ParseError {
        error(
            field,
            match self {
                Self::GivenTwice => "given twice",
                Self::Array => "an array where an object is expected",
                Self::NoObject => "not an object",
            },
        )
    }
}
