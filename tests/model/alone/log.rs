//! What happened, in order: all that the oracle knows. Numbers and names only, so that two runs can be compared.

use std::sync::{Mutex, PoisonError};

use super::clock::{self, Ms, Reading};
use super::schedule::Call;
use balance_gateway::domain::{Priority, UpstreamError};
use balance_gateway::gateway::{Refusal, Via};

/// One thing that happened, and what the clocks showed.
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
    /// The credentials have changed: that they were refused counts no longer.
    Forgotten(Place),
    /// A request came.
    Arrived(usize, Box<CallerRequest>),
    /// The caller's lookup begins.
    Looked(usize),
    /// A unit of the caller's forced limit was asked for, and whether it was there.
    Charged(usize, bool),
    /// The caller was noted as refused by a hold.
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
    /// The age from which on no answer begins: it gets 50 ms to leave.
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
    /// The `not_before` that the caller passes on, by another wall clock.
    pub(crate) not_before: Option<Ms>,
    /// When it was made, if an invalidation returned it.
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
