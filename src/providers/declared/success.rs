//! Whether a body reports success: its status, the conditions of `success`, and the members that must be absent.

use super::check::{Check, optional, required};
use super::mapping::Mapping;
use super::shape::{Shape, ValueIndex, Values};
use crate::domain::BodyError;
use crate::providers::fields::error;

/// The status that is reported when the conditions of `success` do not hold: HTTP itself succeeded.
const SUCCESS: u16 = 200;

/// What a body must report before its amounts are read.
#[derive(Debug)]
pub(super) struct SuccessRule {
    status: Option<ValueIndex>,
    success: Vec<Check>,
    absent: Vec<ValueIndex>,
}

impl SuccessRule {
    pub(super) fn new(mapping: &Mapping, shape: &mut Shape) -> Self {
        Self {
            status: mapping.status.as_ref().map(|at| shape.index_of(at)),
            success: mapping.success.iter().map(|condition| Check::new(shape, condition)).collect(),
            absent: mapping.absent.iter().map(|at| shape.index_of(at)).collect(),
        }
    }

    /// Checks a body: status, success, absence, in this order.
    pub(super) fn check(&self, values: &Values<'_>) -> Result<(), BodyError> {
        if let Some(status) = self.status {
            let raw = required("status", values.get(status))?;
            match raw.get().parse::<i64>() {
                Ok(200..=299) => {}
                Ok(status @ 400..=599) => {
                    return Err(BodyError::Status(u16::try_from(status).unwrap_or_default()));
                }
                Ok(_) => return Err(error("status", "neither success nor failure").into()),
                Err(_) => return Err(error("status", "not an integer").into()),
            }
        }
        for check in &self.success {
            if !check.holds(optional("success", values.get(check.index))?) {
                return Err(BodyError::Status(SUCCESS));
            }
        }
        for index in &self.absent {
            if optional("absent", values.get(*index))?.is_some() {
                return Err(error("absent", "not null or missing").into());
            }
        }
        Ok(())
    }

    /// Whether each condition of `success` holds; `None` for one that cannot be read.
    pub(super) fn conditions(&self, values: Option<&Values<'_>>) -> Vec<Option<bool>> {
        let holds = |check: &Check| Some(check.holds(values?.get(check.index).ok()?));
        self.success.iter().map(holds).collect()
    }
}
