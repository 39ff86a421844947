//! A schedule: who does what and when, and how the provider behaves. All of it follows from one seed.

use std::fmt;

use super::chance::Chance;
use super::clock::{GATEWAYS, Ms};
use super::log::Ages;
use balance_gateway::domain::{Priority, UpstreamError};

/// Balances of the one account that every gateway has.
pub(crate) const BALANCES: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// How far each gateway's wall clock is off.
    pub(crate) skews: [Ms; GATEWAYS],
    /// The limits at first.
    pub(crate) ages: [Ages; BALANCES],
    pub(crate) steps: Vec<Step>,
    /// How the reads end, in the order in which they begin. Further reads begin again with the first.
    pub(crate) replies: Vec<Reply>,
}

/// One thing that happens from outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The time since the previous step.
    pub(crate) after: Ms,
    /// How many times it yields to other tasks when its time has come.
    pub(crate) hops: u8,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Call(Call),
    Invalidate {
        gateway: usize,
        balance: usize,
    },
    /// A reload with other limits.
    Limit {
        balance: usize,
        ages: Ages,
    },
    /// A reload with another identity of the account, which drops what is stored.
    Identify {
        balance: usize,
    },
    /// A reload with other credentials.
    Renew {
        gateway: usize,
        balance: usize,
    },
    StepWall {
        gateway: usize,
        by: Ms,
    },
    Freeze(Ms),
}

/// One caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) gateway: usize,
    pub(crate) balance: usize,
    pub(crate) asks: Asks,
    /// The time until the caller's deadline.
    pub(crate) wait: Ms,
    /// The delay between the request's arrival and its lookup.
    pub(crate) lag: Lag,
    /// When the caller hangs up, counted from the lookup.
    pub(crate) gives_up_after: Option<Ms>,
    /// Whether a unit of the forced limit is left.
    pub(crate) may_force: bool,
}

/// What a request says about freshness: `max-age`, `min-fresh` and `stale-if-error` in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asks {
    pub(crate) max_age: Option<Ms>,
    pub(crate) min_fresh: Option<Ms>,
    pub(crate) not_before: Option<NotBefore>,
    pub(crate) only_if_cached: bool,
    pub(crate) stale_if_error: Option<Ms>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NotBefore {
    /// This long before the arrival, by the gateway's wall clock; a negative value is after it.
    Ago(Ms),
    /// The value that the last invalidation of the balance returned, at either gateway.
    Invalidation,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lag {
    None,
    Sleep(Ms),
    Freeze(Ms),
    StepWall(Ms),
}

/// How one read goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    /// The wait for a slot.
    pub(crate) wait: Ms,
    /// How long each attempt takes, if the read is admitted.
    pub(crate) attempts: Vec<Ms>,
    pub(crate) ending: Ending,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// A balance, with this `Age`.
    Success {
        age: Ms,
    },
    /// The last attempt failed: no read begins before this time has passed.
    Failure {
        error: UpstreamError,
        held_for: Ms,
    },
    /// Refused, unless the read has this priority: then it succeeds.
    Refusal {
        error: UpstreamError,
        unless: Option<Priority>,
        retry_in: Ms,
    },
    Panic,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        Chance::new(seed).schedule()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { skews, ages, steps, replies } = self;
        writeln!(f, "wall clocks off by {skews:?} ms, limits {ages:?}")?;
        steps.iter().try_for_each(|step| writeln!(f, "{step:?}"))?;
        replies.iter().try_for_each(|reply| writeln!(f, "{reply:?}"))
    }
}
