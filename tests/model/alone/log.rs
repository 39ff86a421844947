//! The events of a schedule, in order: all that the oracle knows. Only numbers and names, so that two runs can be
//! compared.

use std::sync::{Mutex, PoisonError};

use super::clock::{self, Ms, Reading};
use super::schedule::Call;
use balance_gateway::domain::{Priority, UpstreamError};
use balance_gateway::gateway::{Refusal, Via};

/// One event, and the readings of the clocks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) at: Reading,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A wall clock was stepped, or the process froze until now.
    ClockJumped,
    Invalidated(Place),
    /// The credentials have changed: the hold after their refusal ends.
    Forgotten(Place),
    /// A request arrived.
    Arrived(usize, Box<CallerRequest>),
    /// The caller's lookup begins.
    Looked(usize),
    /// A unit of the caller's forced limit was requested; says whether it was granted.
    Charged(usize, bool),
    /// The gateway recorded that a hold refused the caller.
    NotedHold(usize),
    /// A caller's lookup began a read.
    Begun {
        read: usize,
        by: usize,
        priority: Priority,
    },
    /// An attempt of the read was sent.
    Sent(usize),
    Ended(usize, Outcome),
    /// The read was dropped before it ended.
    Cut(usize),
    Answered(usize, Given),
    /// The caller hung up.
    Left(usize),
}

/// Where a balance is stored: a gateway, one of its balances, and how often its identity has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) gateway: usize,
    pub(crate) balance: usize,
    pub(crate) identity: usize,
}

/// How old a balance may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ages {
    pub(crate) fresh_for: Ms,
    pub(crate) max_age: Ms,
}

impl Ages {
    /// The age at and above which no answer begins: 50 ms below the ceiling, so that the answer has time to leave.
    pub(crate) fn latest_start(self) -> Ms {
        self.max_age - 50
    }
}

/// A caller's request for one balance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallerRequest {
    pub(crate) call: Call,
    pub(crate) place: Place,
    pub(crate) ages: Ages,
    /// The `not_before` that the caller passes on, by the wall clock of any gateway.
    pub(crate) not_before: Option<Ms>,
    /// When the invalidation that returned it happened, if there was one.
    pub(crate) invalidated_at: Option<Ms>,
}

/// How a read ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Brought { amount: String, age: Ms },
    Failed { error: UpstreamError, retry_at: Option<Ms>, is_held: bool },
    Panicked,
}

/// What a caller got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    /// The amount and the moment are those of the answer's body.
    Served {
        amount: String,
        fetched_at: Ms,
        age: Ms,
        via: Via,
    },
    Refused(Refusal),
}

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Event>>);

impl Log {
    pub(crate) fn write(&self, what: What) {
        self.events().push(Event { at: clock::reading(), what });
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events())
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
