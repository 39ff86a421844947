//! A schedule of three replicas: who does what and when, how the provider behaves, and what happens to the store.

use std::fmt;

use super::chance::Chance;
use super::clock::{REPLICAS, STORE};
use super::stories;
use crate::alone::clock::{Ms, SECOND};
use crate::alone::log::Ages;
use crate::alone::schedule::Asks;
use crate::store::Weather;
use balance_gateway::domain::UpstreamError;

/// Balances of the one account.
pub(crate) const BALANCES: usize = 2;

/// The ends of two keys of an account: the log of its calls, and its state.
pub(crate) const CALLS: &str = ":calls";
pub(crate) const STATE: &str = ":state";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) mood: Mood,
    /// How far each clock is ahead: the replicas' wall clocks, then the store's clock.
    pub(crate) skews: [Ms; REPLICAS + 1],
    /// When each replica begins to link.
    pub(crate) links: [Ms; REPLICAS],
    pub(crate) weathers: [Weather; REPLICAS],
    pub(crate) ages: Ages,
    pub(crate) budget: Terms,
    pub(crate) limit: Limit,
    /// The time after which a notification is processed once more.
    pub(crate) settle: Ms,
    pub(crate) steps: Vec<Step>,
    /// How the calls end, in the order in which they begin. Further calls begin again with the first.
    pub(crate) replies: Vec<Reply>,
}

/// The conditions of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// No message is lost and no clock moves: the replicas must act as one.
    Calm,
    /// The network is calm, every read succeeds and the budget is ample; wall clocks may step.
    Well,
    /// Callers use a small budget up over a calm network, while the store loses calls and its clock steps.
    Spending,
    /// Everything may happen.
    Wild,
}

/// The budget: how many calls may be sent in any span of `per`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) requests: u32,
    pub(crate) per: Ms,
}

/// One thing that happens from outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The time since the previous step.
    pub(crate) after: Ms,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Call(Call),
    /// Callers without a demand, one after the other.
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
    /// A stream of one balance: opened, read with pauses, and closed.
    Stream(Stream),
    /// A provider's notification of the account arrives at a replica.
    Notify {
        replica: usize,
    },
    /// A caller asks for units of its limit, again and again.
    Spend {
        replica: usize,
        cost: u32,
        every: Ms,
        times: u32,
    },
    /// Steps a replica's wall clock, or the store's clock.
    StepClock {
        whose: usize,
        by: Ms,
    },
    /// Freezes every replica, but not the store.
    Freeze(Ms),
    Weather {
        replica: usize,
        weather: Weather,
    },
    Cut(usize),
    /// The store's process is stopped for this long.
    Stop(Ms),
    /// The store is unreachable for this long, and loses everything.
    Kill(Ms),
    /// The data that the store holds now remains after a fail-over.
    Replicate,
    /// Another node takes over; its clock differs by this much.
    FailOver(Ms),
    /// The store evicts the keys with this end, as it may when its memory is full.
    Evict(&'static str),
    Fill(bool),
    WriteProtect(bool),
}

/// One caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) replica: usize,
    pub(crate) balance: usize,
    pub(crate) asks: Asks,
    /// The time until the caller's deadline.
    pub(crate) wait: Ms,
    /// How long the caller takes to read the answer.
    pub(crate) takes: Ms,
}

/// One event stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) replica: usize,
    pub(crate) balance: usize,
    pub(crate) refresh: Ms,
    /// How long the client stops reading after each event.
    pub(crate) pause: Ms,
    pub(crate) length: Ms,
}

/// The limit of one caller over all replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) requests: u32,
    pub(crate) per: Ms,
    pub(crate) burst: u32,
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
        stories::of(seed).unwrap_or_else(|| Chance::new(seed).schedule(seed))
    }

    /// Whether the replicas must act as one.
    pub(crate) fn is_calm(&self) -> bool {
        self.mood == Mood::Calm
    }

    /// Whether the store accepts writes at this moment. While it does not, it stores no mark.
    pub(crate) fn takes_writes_at(&self, now: Ms) -> bool {
        // The steps do not count the time while the replicas are frozen.
        if self.steps.iter().any(|step| matches!(step.action, Action::Freeze(_))) {
            return !self
                .steps
                .iter()
                .any(|step| matches!(step.action, Action::Fill(_) | Action::WriteProtect(_)));
        }
        let (mut is_full, mut is_read_only) = (false, false);
        for (_, action) in self.timed().take_while(|(at, _)| *at <= now) {
            match action {
                Action::Fill(is_now) => is_full = *is_now,
                Action::WriteProtect(is_now) => is_read_only = *is_now,
                // The restarted store is empty.
                Action::Kill(_) => (is_full, is_read_only) = (false, false),
                _ => {}
            }
        }
        !is_full && !is_read_only
    }

    /// Whether the only disturbances are steps of the store's clock.
    pub(crate) fn only_sets_the_stores_clock(&self) -> bool {
        let is_harmless = |step: &Step| match step.action {
            Action::Call(_) | Action::Poll { .. } | Action::Invalidate { .. } => true,
            Action::StepClock { whose, .. } => whose == STORE,
            _ => false,
        };
        let links_at_once = self.links.iter().all(|after| *after == 0);
        links_at_once
            && self.weathers.iter().all(|weather| weather.is_calm())
            && self.steps.iter().all(is_harmless)
    }

    /// Each action with its time.
    fn timed(&self) -> impl Iterator<Item = (Ms, &Action)> {
        self.steps.iter().scan(SECOND, |at, step| {
            *at += step.after;
            Some((*at, &step.action))
        })
    }

    /// Whether no answer carries an `Age`.
    pub(crate) fn answers_are_new(&self) -> bool {
        let is_aged = |reply: &Reply| matches!(reply.ending, Ending::Success { age: 1.. });
        !self.replies.iter().any(is_aged)
    }

    /// The most by which the wall clocks of two replicas ever differ.
    pub(crate) fn clocks_apart(&self) -> Ms {
        let skews = &self.skews[..REPLICAS];
        let stepped = self.steps.iter().map(|step| match step.action {
            Action::StepClock { whose, by } if whose != STORE => by.abs(),
            _ => 0,
        });
        skews.iter().max().unwrap() - skews.iter().min().unwrap() + stepped.sum::<Ms>()
    }

    /// Whether provider and store work from the beginning to the end.
    pub(crate) fn is_well(&self) -> bool {
        self.mood == Mood::Well
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mood, skews, links, weathers, ages, budget, limit, settle, steps, replies, .. } = self;
        writeln!(f, "{mood:?}, clocks off by {skews:?} ms, links from {links:?} ms")?;
        writeln!(f, "{weathers:?}\n{ages:?} {budget:?} {limit:?} settle {settle}")?;
        steps.iter().try_for_each(|step| writeln!(f, "{step:?}"))?;
        replies.iter().try_for_each(|reply| writeln!(f, "{reply:?}"))
    }
}
