//! The amounts of a body, and their places.

use crate::domain::{Amount, Reading};

/// One amount and where it was found.
#[derive(Clone, Debug)]
pub struct LocatedAmount {
    /// The figure that it is or belongs to; `None` if it is only shown in `reported`.
    pub role: Option<&'static str>,
    /// Its name in `reported`: the array of its row, if any, and the pointer.
    pub name: String,
    /// Its row, for people: nothing depends on the order of an array.
    pub row: Option<Row>,
    /// Its text, verbatim.
    pub text: String,
    /// Its value; `None` if it is only shown.
    pub amount: Option<Amount>,
}

/// The place of a row in its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The array.
    pub array: String,
    /// The row's number, from 0.
    pub number: usize,
    /// How many rows there are.
    pub count: usize,
}

/// Every amount of one body.
#[derive(Clone, Debug)]
pub struct Understood {
    /// Every amount, in the order of the answer.
    pub amounts: Vec<LocatedAmount>,
    /// The figures.
    pub reading: Reading,
}
