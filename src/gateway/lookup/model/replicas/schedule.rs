//! A schedule of three replicas: who does what and when, how the provider behaves, and what becomes of the store.

use std::fmt;

use super::super::clock::Ms;
use super::super::log::Ages;
use super::super::schedule::Asks;
use super::chance::Chance;
use super::clock::REPLICAS;
use crate::domain::UpstreamError;
use crate::shared::simulated::Weather;

/// Balances of the one account.
pub(super) const BALANCES: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    /// Nothing is lost and no clock moves: then the replicas must be as one.
    pub(super) is_calm: bool,
    /// How far each wall clock is off, the store's last.
    pub(super) skews: [Ms; REPLICAS + 1],
    /// When each replica begins to link.
    pub(super) links: [Ms; REPLICAS],
    pub(super) weathers: [Weather; REPLICAS],
    pub(super) ages: Ages,
    pub(super) budget: Terms,
    pub(super) steps: Vec<Step>,
    /// How the reads end, in the order in which they begin; from the first again when there are more.
    pub(super) replies: Vec<Reply>,
}

/// How many calls may leave in any span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Terms {
    pub(super) requests: u32,
    pub(super) per: Ms,
}

/// One thing that happens from outside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// After the step before.
    pub(super) after: Ms,
    pub(super) action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Call(Call),
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
pub(super) struct Call {
    pub(super) replica: usize,
    pub(super) balance: usize,
    pub(super) asks: Asks,
    /// Until the caller's deadline.
    pub(super) wait: Ms,
}

/// How one read goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    /// The wait for a slot.
    pub(super) wait: Ms,
    /// How long each call takes.
    pub(super) calls: Vec<Ms>,
    pub(super) ending: Ending,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    /// A balance, with this `Age`.
    Success {
        age: Ms,
    },
    /// The last call failed, and for so long nobody is asked; at other replicas, too, where the provider said so.
    Failure {
        error: UpstreamError,
        held_for: Ms,
        is_said: bool,
    },
    Panic,
}

impl Schedule {
    pub(super) fn of(seed: u64) -> Self {
        Chance::new(seed).schedule(seed)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_calm, skews, links, weathers, ages, budget, steps, replies, .. } = self;
        writeln!(f, "calm: {is_calm}, clocks off by {skews:?} ms, links from {links:?} ms")?;
        writeln!(f, "{weathers:?}\n{ages:?} {budget:?}")?;
        steps.iter().try_for_each(|step| writeln!(f, "{step:?}"))?;
        replies.iter().try_for_each(|reply| writeln!(f, "{reply:?}"))
    }
}
