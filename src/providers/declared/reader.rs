//! Reads bodies by a mapping. One walk over the raw text finds every member.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::check::{optional, required};
use super::found_amounts::{FoundAmount, FoundAmounts};
use super::mapping::{AmountOrSum, CurrencyRule, Mapping, Role};
use super::place::{AmountPlace, OneBody, RowPlace};
use super::rows::{Array, MatchingRows};
use super::shape::{Shape, ValueIndex, Values};
use super::success::SuccessRule;
use super::understood::{LocatedAmount, Row, Understood};
use super::units::AmountUnit;
use crate::domain::{Amount, BodyError, Currency, ObservedAt, ParseError, Reading, Selector};
use crate::providers::fields::{amount_error, body_text, error, unquoted};

/// A mapping, prepared for reading bodies.
#[derive(Debug)]
pub struct MappingReader {
    mapping: Mapping,
    shape: Shape,
    success: SuccessRule,
    rule: CurrencyRule,
    /// The place of the currency in the body, unless each row names its own.
    currency: Option<ValueIndex>,
    units: AmountUnit,
    arrays: Vec<Array>,
    parts: Vec<(&'static str, Vec<AmountPlace>)>,
    report: Vec<AmountPlace>,
    observed_at: Option<ValueIndex>,
}

impl MappingReader {
    /// Prepares a mapping.
    #[must_use]
    pub fn new(mapping: &Mapping) -> Self {
        let mut shape = Shape::default();
        let mut arrays = Vec::new();
        let mut names = Vec::new();
        let mut place =
            |role: &Role| AmountPlace::new(role, &mapping.currency, &mut shape, &mut arrays, &mut names);
        let parts = mapping
            .parts()
            .into_iter()
            .map(|(name, part): (_, AmountOrSum)| (name, part.roles().iter().map(&mut place).collect()))
            .collect();
        let report = mapping.report.iter().map(|at| {
            place(&Role { at: at.clone(), rows: mapping.rows.clone(), currency: None, is_optional: true })
        });
        let report = report.collect();
        let currency = match &mapping.currency {
            CurrencyRule::At { at, .. } if arrays.is_empty() => Some(shape.index_of(at)),
            _ => None,
        };
        Self {
            success: SuccessRule::new(mapping, &mut shape),
            observed_at: mapping.observed_at.as_ref().map(|at| shape.index_of(at)),
            currency,
            rule: mapping.currency.clone(),
            units: mapping.units.clone(),
            arrays,
            parts,
            report,
            shape,
            mapping: mapping.clone(),
        }
    }

    /// The mapping that it reads by.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    pub(super) fn rule(&self) -> &CurrencyRule {
        &self.rule
    }

    pub(super) fn units(&self) -> &AmountUnit {
        &self.units
    }

    /// Reads one balance of a body: status, success, absence, currency, amounts, in this order.
    ///
    /// # Errors
    /// [`BodyError::Status`] when the body reports a failure or no success, [`BodyError::Invalid`] when it does
    /// not fit the mapping.
    pub fn read(&self, body: &[u8], selector: &Selector) -> Result<Reading, BodyError> {
        self.find(body, selector).map(FoundAmounts::into_reading)
    }

    /// Reads one balance like [`MappingReader::read`], with the place of every amount, for people.
    ///
    /// # Errors
    /// As [`MappingReader::read`].
    pub fn understand(&self, body: &[u8], selector: &Selector) -> Result<Understood, BodyError> {
        let found_amounts = self.find(body, selector)?;
        let amounts = found_amounts.amounts.iter().map(|amount| self.located(amount)).collect();
        Ok(Understood { amounts, reading: found_amounts.into_reading() })
    }

    fn find(&self, body: &[u8], selector: &Selector) -> Result<FoundAmounts<'_>, BodyError> {
        let text = body_text(body);
        let values = self.shape.read(&text).ok_or(error("body", "not one JSON value"))?;
        self.success.check(&values)?;
        let currency = self.rule.only().or(selector.currency);
        let currency = currency.ok_or(error("currency", "not asked for"))?;
        self.check_currency(&values, currency)?;
        let chosen: Vec<MatchingRows<'_>> = self
            .arrays
            .iter()
            .map(|array| array.choose(&values, self.rule.case(), currency))
            .collect::<Result<_, _>>()?;
        Ok(self.found_amounts(&OneBody { values: &values, chosen: &chosen, currency })?)
    }

    /// For people: whether each condition of `success` holds; `None` for one that cannot be read.
    #[must_use]
    pub fn success_conditions(&self, body: &[u8]) -> Vec<Option<bool>> {
        let text = body_text(body);
        self.success.conditions(self.shape.read(&text).as_ref())
    }

    fn check_currency(&self, values: &Values<'_>, asked: Currency) -> Result<(), ParseError> {
        let Some(index) = self.currency else { return Ok(()) };
        let raw = required("currency", values.get(index))?;
        self.is_in(asked, raw)
    }

    fn is_in(&self, asked: Currency, raw: &RawValue) -> Result<(), ParseError> {
        let text = unquoted(raw).ok_or(error("currency", "not a string"))?;
        if self.rule.case().matches(&text, asked) {
            Ok(())
        } else {
            Err(error("currency", "not the one asked for"))
        }
    }

    fn found_amounts(&self, body: &OneBody<'_, '_>) -> Result<FoundAmounts<'_>, ParseError> {
        let mut amounts = Vec::with_capacity(self.parts.len() + self.report.len());
        let mut figure = |name: &str| {
            let (role, places) = self.parts.iter().find(|(role, _)| *role == name)?;
            self.figure(role, places, body, &mut amounts).transpose()
        };
        let available = figure("available").transpose()?;
        let [blocked, reserved, processing, total] =
            ["blocked", "reserved", "processing", "total"].map(|name| figure(name).transpose());
        let available = available.ok_or(error("available", "missing or null"))?;
        let (blocked, reserved, processing, total) = (blocked?, reserved?, processing?, total?);
        for place in &self.report {
            amounts.extend(shown(place, body)?);
        }
        let observed_at = self.observed_at(body.values);
        Ok(FoundAmounts { amounts, available, blocked, reserved, processing, total, observed_at })
    }

    /// One figure: an amount, or the exact sum of several; `None` if it is optional and missing.
    fn figure<'m>(
        &self,
        role: &'static str,
        places: &'m [AmountPlace],
        body: &OneBody<'_, '_>,
        amounts: &mut Vec<FoundAmount<'m>>,
    ) -> Result<Option<Amount>, ParseError> {
        let first = amounts.len();
        for place in places {
            let Some(one) = self.amount(role, place, body)? else { return Ok(None) };
            amounts.push(one);
        }
        let values = amounts[first..].iter().filter_map(|one| one.amount);
        Amount::checked_sum(values).map_err(|problem| amount_error(role, problem))
    }

    fn amount<'m>(
        &self,
        role: &'static str,
        place: &'m AmountPlace,
        body: &OneBody<'_, '_>,
    ) -> Result<Option<FoundAmount<'m>>, ParseError> {
        let Some((values, row)) = place.values(body) else {
            return place.missing(role, "no row of this currency");
        };
        let Some(raw) = optional(role, values.get(place.index))? else {
            return place.missing(role, "missing or null");
        };
        if let Some(index) = place.currency {
            self.is_in(body.currency, required("currency", values.get(index))?)?;
        }
        let (amount, text) = self.units.read(role, raw, body.currency)?;
        Ok(Some(FoundAmount { role: Some(role), name: &place.name, row, text, amount: Some(amount) }))
    }

    fn located(&self, found_amount: &FoundAmount<'_>) -> LocatedAmount {
        let FoundAmount { role, name, row, text, amount } = found_amount;
        let row = row.map(|RowPlace { array, number, count }| {
            let array = self.arrays.get(array).map_or("", |array| array.pointer().as_str());
            Row { array: array.to_owned(), number, count }
        });
        LocatedAmount { role: *role, name: (*name).to_owned(), row, text: text.clone(), amount: *amount }
    }

    fn observed_at(&self, values: &Values<'_>) -> ObservedAt {
        let Some(index) = self.observed_at else { return ObservedAt::Undocumented };
        let text = values.get(index).ok().flatten().and_then(unquoted);
        ObservedAt::read(text.as_deref())
    }
}

/// A money field that is only shown: a number, or a text with a number.
fn shown<'m>(place: &'m AmountPlace, body: &OneBody<'_, '_>) -> Result<Option<FoundAmount<'m>>, ParseError> {
    const ROLE: &str = "report";
    let Some((values, row)) = place.values(body) else { return Ok(None) };
    let Some(raw) = optional(ROLE, values.get(place.index))? else { return Ok(None) };
    let text = unquoted(raw).unwrap_or(Cow::Borrowed(raw.get()));
    Amount::parse(&text, body.currency).map_err(|problem| amount_error(ROLE, problem))?;
    Ok(Some(FoundAmount { role: None, name: &place.name, row, text: text.into_owned(), amount: None }))
}
