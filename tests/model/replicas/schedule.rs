//! A schedule of three replicas: who does what and when, how the provider behaves, and what becomes of the store.

use std::fmt;

use super::chance::Chance;
use super::clock::REPLICAS;
use crate::alone::clock::Ms;
use crate::alone::log::Ages;
use crate::alone::schedule::Asks;
use crate::store::Weather;
use balance_gateway::domain::UpstreamError;

/// Balances of the one account.
pub(crate) const BALANCES: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    /// Nothing is lost and no clock moves: then the replicas must be as one.
    pub(crate) is_calm: bool,
    /// The network is calm, every read succeeds and the budget is ample; wall clocks may step.
    pub(crate) is_well: bool,
    /// How far each wall clock is off, the store's last.
    pub(crate) skews: [Ms; REPLICAS + 1],
    /// When each replica begins to link.
    pub(crate) links: [Ms; REPLICAS],
    pub(crate) weathers: [Weather; REPLICAS],
    pub(crate) ages: Ages,
    pub(crate) budget: Terms,
    pub(crate) steps: Vec<Step>,
    /// How the calls end, in the order in which they begin; from the first again when there are more.
    pub(crate) replies: Vec<Reply>,
}

/// How many calls may leave in any span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) requests: u32,
    pub(crate) per: Ms,
}

/// One thing that happens from outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// After the step before.
    pub(crate) after: Ms,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Call(Call),
    /// Plain callers, one after the other.
    Poll {
        replica: usize,
        balance: usize,
        every: Ms,
        times: u32,
    },
    Invalidate {
        replica: usize,
        balance: usize,
    },
    /// A replica's wall clock, or the store's.
    StepClock {
        whose: usize,
        by: Ms,
    },
    /// Every replica, and not the store.
    Freeze(Ms),
    Weather {
        replica: usize,
        weather: Weather,
    },
    Cut(usize),
    /// The store's process stands still for so long.
    Stop(Ms),
    /// The store is gone for so long, and has lost everything.
    Kill(Ms),
    /// What the store holds now is what a fail-over leaves.
    Replicate,
    /// Another node goes on, whose clock is off by so much.
    FailOver(Ms),
    Fill(bool),
    WriteProtect(bool),
}

/// One caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) replica: usize,
    pub(crate) balance: usize,
    pub(crate) asks: Asks,
    /// Until the caller's deadline.
    pub(crate) wait: Ms,
}

/// How one call goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) takes: Ms,
    pub(crate) ending: Ending,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// A balance, with this `Age`.
    Success {
        age: Ms,
    },
    Failure(UpstreamError),
    Panic,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        Chance::new(seed).schedule(seed)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_calm, is_well, skews, links, weathers, ages, budget, steps, replies, .. } = self;
        writeln!(f, "calm: {is_calm}, well: {is_well}, clocks off by {skews:?} ms, links from {links:?} ms")?;
        writeln!(f, "{weathers:?}\n{ages:?} {budget:?}")?;
        steps.iter().try_for_each(|step| writeln!(f, "{step:?}"))?;
        replies.iter().try_for_each(|reply| writeln!(f, "{reply:?}"))
    }
}
