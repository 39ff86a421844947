//! The events of a schedule, in order: all that the oracle knows.

use std::sync::{Mutex, PoisonError};

use super::schedule::{Call, Stream};
use crate::alone::clock::{self, Ms};
use balance_gateway::domain::{Priority, UpstreamError};
use balance_gateway::gateway::{Refusal, Via};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// The time, by a clock that no replica reads.
    pub(crate) at: Ms,
    /// The same time without the freezes of the processes.
    pub(crate) tick: Ms,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A request arrived, perhaps with the `not_before` of an invalidation.
    Arrived {
        caller: usize,
        call: Call,
        after: Option<usize>,
    },
    Answered {
        caller: usize,
        given: Given,
    },
    /// The caller has taken its answer.
    Taken {
        caller: usize,
    },
    /// A read began: a caller's, or one behind a stream or a notification.
    Begun {
        read: usize,
        by: Option<usize>,
        replica: usize,
        balance: usize,
        priority: Priority,
    },
    /// A call of the read was received by the provider.
    Called {
        call: usize,
        read: usize,
    },
    /// The provider has answered it: with an amount, of this `Age`; or it failed.
    Replied {
        call: usize,
        brought: Result<(String, Ms), UpstreamError>,
    },
    /// The read has ended: its number in the store's order, and its error.
    Ended {
        read: usize,
        number: Option<u64>,
        error: Option<UpstreamError>,
    },
    /// An invalidation arrived.
    Invalidating {
        invalidation: usize,
        replica: usize,
        balance: usize,
    },
    /// The invalidation has returned, with its mark if the replicas shared.
    Invalidated {
        invalidation: usize,
        mark: Option<u64>,
    },
    /// A replica received a mark.
    Told {
        replica: usize,
        balance: usize,
        mark: u64,
    },
    /// A stream was opened.
    Opened {
        stream: usize,
        of: Stream,
    },
    /// An event of a stream was written.
    Streamed {
        stream: usize,
        amount: String,
    },
    Closed {
        stream: usize,
    },
    /// A notification arrived.
    Notified,
    /// A caller asked for units of its limit.
    Spent {
        replica: usize,
        cost: u32,
        /// The units that it got; `None` if it was refused.
        units: Option<u32>,
        /// Whether the replica knew nothing of the store and used its local share.
        is_local: bool,
    },
    /// The store, a network or a clock was disturbed.
    Disturbed,
    /// A replica's network was set: whether every message over it arrives soon.
    Weather {
        replica: usize,
        is_calm: bool,
    },
    /// A replica's link was made, or broke.
    Linked {
        replica: usize,
        stands: bool,
    },
}

/// What a caller got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Served { amount: String, age: Ms, via: Via },
    Refused(Refusal),
}

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Event>>);

impl Log {
    pub(crate) fn write(&self, what: What) {
        let clock::Reading { tick, mono, .. } = clock::reading();
        self.events().push(Event { at: mono, tick, what });
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events())
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
