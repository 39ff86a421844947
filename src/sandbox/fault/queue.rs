//! Faults and the calls that they apply to, in the order of queueing.

use std::collections::VecDeque;

use serde::Deserialize;

use super::kind::FaultKind;
use crate::sandbox::calls::Operation;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The calls that it applies to.
    pub on: On,
    /// The number of calls that it applies to.
    pub times: u32,
    /// The effect on each of these calls.
    pub kind: FaultKind,
}

/// The calls that a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Calls for a balance.
    Balance,
    /// Calls for a token.
    Token,
    /// Every call, also to other paths; never control calls.
    Any,
}

/// The waiting faults, in the order of queueing.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct FaultQueue(VecDeque<Fault>);

impl Fault {
    /// Returns a fault for the next balance call.
    #[must_use]
    pub const fn on_balance(kind: FaultKind) -> Self {
        Self::once(On::Balance, kind)
    }

    /// Returns a fault for the next token call.
    #[must_use]
    pub const fn on_token(kind: FaultKind) -> Self {
        Self::once(On::Token, kind)
    }

    /// Returns a fault for the next call of any kind.
    #[must_use]
    pub const fn on_any(kind: FaultKind) -> Self {
        Self::once(On::Any, kind)
    }

    /// Applies the fault to this many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    const fn once(on: On, kind: FaultKind) -> Self {
        Self { on, times: 1, kind }
    }
}

impl On {
    const fn includes(self, operation: Operation) -> bool {
        match self {
            Self::Balance => matches!(operation, Operation::Balance),
            Self::Token => matches!(operation, Operation::Token),
            Self::Any => true,
        }
    }
}

impl FaultQueue {
    pub(in crate::sandbox) fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push_back(fault);
        }
    }

    /// Uses the first fault that applies to the operation once, and returns its effect.
    pub(in crate::sandbox) fn take(&mut self, operation: Operation) -> Option<FaultKind> {
        let index = self.0.iter().position(|fault| fault.on.includes(operation))?;
        let fault = self.0.get_mut(index)?;
        fault.times -= 1;
        let kind = fault.kind.clone();
        if fault.times == 0 {
            self.0.remove(index);
        }
        Some(kind)
    }

    pub(in crate::sandbox) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::sandbox) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gets_the_first_fault_that_applies_to_it() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::on_token(FaultKind::Reset));
        queue.push(Fault::on_balance(FaultKind::Garbage).times(2));
        queue.push(Fault::on_any(FaultKind::Close));
        queue.push(Fault::on_any(FaultKind::Close).times(0));

        let taken: Vec<_> = std::iter::repeat_with(|| queue.take(Operation::Balance)).take(4).collect();

        let expected = [Some(FaultKind::Garbage), Some(FaultKind::Garbage), Some(FaultKind::Close), None];
        assert_eq!(taken, expected);
        assert_eq!(queue.len(), 1);
    }
}
