//! The amounts of one body, before they become a reading. Their names are borrowed from the mapping.

use super::place::RowPlace;
use crate::domain::{Amount, ObservedAt, Reading};

/// One amount and its place.
pub(super) struct FoundAmount<'m> {
    /// The figure that it is or belongs to; `None` if it is only shown.
    pub(super) role: Option<&'static str>,
    /// Its name in `reported`.
    pub(super) name: &'m str,
    /// The place of its row, if it is in a row.
    pub(super) row: Option<RowPlace>,
    /// Its text, verbatim.
    pub(super) text: String,
    /// Its value; `None` if it is only shown.
    pub(super) amount: Option<Amount>,
}

/// All amounts of one body, and its figures.
pub(super) struct FoundAmounts<'m> {
    pub(super) amounts: Vec<FoundAmount<'m>>,
    pub(super) available: Amount,
    pub(super) blocked: Option<Amount>,
    pub(super) reserved: Option<Amount>,
    pub(super) processing: Option<Amount>,
    pub(super) total: Option<Amount>,
    pub(super) observed_at: ObservedAt,
}

impl FoundAmounts<'_> {
    /// The amounts as a reading.
    pub(super) fn into_reading(self) -> Reading {
        let Self { amounts, available, blocked, reserved, processing, total, observed_at } = self;
        let reported =
            amounts.into_iter().map(|found_amount| (found_amount.name.to_owned().into(), found_amount.text));
        Reading { available, blocked, reserved, processing, total, reported: reported.collect(), observed_at }
    }
}
