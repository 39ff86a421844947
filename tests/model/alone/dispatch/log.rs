//! The events of a schedule, in order: all that the oracle knows.

use std::sync::{Mutex, PoisonError};

use super::schedule::{Ask, Setting};
use crate::alone::clock::{self, Ms};

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Ms,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Reloaded(Setting),
    Arrived {
        request: usize,
        ask: Ask,
    },
    /// The rest of the body is sent.
    Sent {
        request: usize,
    },
    /// The provider is called at this address.
    Called {
        call: usize,
        address: usize,
    },
    Answered {
        request: usize,
        given: Given,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Given {
    /// `age` in seconds.
    Balance { amount: String, age: Ms },
    /// The code of a problem.
    Problem(String),
}

#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<Event>>);

impl Log {
    pub(super) fn write(&self, what: What) {
        let event = Event { at: clock::reading().mono, what };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
