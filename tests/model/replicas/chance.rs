//! Draws schedules. One in four is calm, so that what the replicas owe each other when nothing is lost is judged, too.

use fastrand::Rng;

use super::clock::{REPLICAS, STORE};
use super::schedule::{Action, BALANCES, Call, Ending, Reply, Schedule, Step, Terms};
use crate::alone::clock::{Ms, SECOND};
use crate::alone::log::Ages;
use crate::alone::schedule::{Asks, NotBefore};
use crate::store::Weather;
use balance_gateway::domain::{Cause, ParseError, UpstreamError};

/// Longest time of one read.
pub(crate) const DEADLINE: Ms = 10 * SECOND;
/// Longest way in a calm network, in milliseconds.
pub(crate) const CALM_DELAY: u64 = 2;

/// The source of all that is random in a schedule.
pub(crate) struct Chance {
    rng: Rng,
    is_calm: bool,
    /// Whether the network is calm, every read succeeds and the budget is ample; wall clocks may step.
    is_well: bool,
    /// Whether every read succeeds.
    is_kind: bool,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_calm = rng.u32(0..4) == 0;
        let is_kind = rng.u32(0..3) == 0;
        let is_well = !is_calm && rng.u32(0..4) == 0;
        Self { rng, is_calm, is_well, is_kind: is_kind || is_well }
    }

    pub(crate) fn schedule(mut self, seed: u64) -> Schedule {
        let steps = self.rng.usize(10..30);
        let replies = self.rng.usize(3..16);
        Schedule {
            seed,
            is_calm: self.is_calm,
            is_well: self.is_well,
            skews: [0; REPLICAS + 1].map(|_| self.skew()),
            links: [0; REPLICAS]
                .map(|_| if self.is_calm || self.is_well || self.happens(80) { 0 } else { self.time(60) }),
            weathers: [(); REPLICAS].map(|()| self.weather()),
            ages: self.ages(),
            budget: self.budget(),
            steps: (0..steps).map(|_| self.step()).collect(),
            replies: (0..replies).map(|_| self.reply()).collect(),
        }
    }

    /// True so many times in a hundred.
    fn happens(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// Up to half a minute between any two.
    fn skew(&mut self) -> Ms {
        if self.happens(50) { self.rng.i64(-15 * SECOND..=15 * SECOND) } else { self.rng.i64(-500..=500) }
    }

    fn ages(&mut self) -> Ages {
        let (fresh_for, max_age) = [(10, 60), (10, 60), (60, 60), (1, 60), (2, 10)][self.rng.usize(0..5)];
        Ages { fresh_for: fresh_for * SECOND, max_age: max_age * SECOND }
    }

    fn budget(&mut self) -> Terms {
        let requests = if !self.is_well && self.happens(25) { self.rng.u32(3..8) } else { 1000 };
        Terms { requests, per: [5, 20][self.rng.usize(0..2)] * SECOND }
    }

    fn weather(&mut self) -> Weather {
        if self.is_calm || self.is_well {
            return Weather { delay: CALM_DELAY, loss: 0 };
        }
        match self.rng.u32(0..100) {
            0..=39 => Weather { delay: 2, loss: 0 },
            40..=59 => Weather { delay: 8, loss: 0 },
            60..=79 => Weather { delay: 5, loss: 5 },
            80..=94 => Weather { delay: 25, loss: 20 },
            _ => Weather { delay: 0, loss: 100 },
        }
    }

    fn replica(&mut self) -> usize {
        self.rng.usize(0..REPLICAS)
    }

    fn balance(&mut self) -> usize {
        usize::from(self.happens(20)).min(BALANCES - 1)
    }

    /// Some time up to about so many seconds.
    fn time(&mut self, seconds: Ms) -> Ms {
        match self.rng.u32(0..10) {
            0..=4 => self.rng.i64(0..=seconds * 2) * SECOND / 2,
            5..=7 => self.rng.i64(0..=seconds) * SECOND + self.rng.i64(0..=3),
            _ => self.rng.i64(0..=seconds * SECOND),
        }
    }

    fn pause(&mut self) -> Ms {
        match self.rng.u32(0..100) {
            0..=29 => self.rng.i64(0..12),
            30..=69 => self.time(3),
            70..=94 => self.time(15),
            _ => self.time(60),
        }
    }

    fn step(&mut self) -> Step {
        let after = self.pause();
        if self.is_well {
            return Step { after, action: self.step_when_well() };
        }
        let action = match self.rng.u32(0..100) {
            0..=67 => Action::Call(self.call()),
            68..=79 => Action::Invalidate { replica: self.replica(), balance: self.balance() },
            _ if self.is_calm => Action::Call(self.call()),
            80..=81 => Action::StepClock { whose: self.replica(), by: self.clock_step(15) },
            82..=84 => Action::StepClock { whose: STORE, by: self.clock_step(50) },
            85 => Action::Freeze(self.time(70)),
            86..=88 => Action::Weather { replica: self.replica(), weather: self.weather() },
            89..=90 => Action::Cut(self.replica()),
            91..=92 => Action::Stop(self.time(45)),
            93..=94 => Action::Kill(self.time(5)),
            95 => Action::Replicate,
            96..=97 => Action::FailOver(if self.happens(50) { 0 } else { self.clock_step(40) }),
            98 => Action::Fill(self.happens(50)),
            _ => Action::WriteProtect(self.happens(50)),
        };
        Step { after, action }
    }

    fn step_when_well(&mut self) -> Action {
        match self.rng.u32(0..100) {
            0..=29 => Action::Poll {
                replica: self.replica(),
                balance: self.balance(),
                every: [50, 100, 400][self.rng.usize(0..3)],
                times: self.rng.u32(20..300),
            },
            30..=79 => Action::Call(self.call()),
            80..=89 => Action::Invalidate { replica: self.replica(), balance: self.balance() },
            _ => Action::StepClock { whose: self.replica(), by: self.clock_step(30) },
        }
    }

    fn clock_step(&mut self, seconds: Ms) -> Ms {
        let by = self.time(seconds);
        if self.happens(60) { -by } else { by }
    }

    fn call(&mut self) -> Call {
        Call {
            replica: self.replica(),
            balance: self.balance(),
            asks: self.asks(),
            wait: if self.happens(50) { DEADLINE + 2 * SECOND } else { 200 * SECOND },
        }
    }

    fn asks(&mut self) -> Asks {
        let mut asks = Asks::default();
        match self.rng.u32(0..100) {
            0..=39 => {}
            40..=64 => asks.max_age = Some(0),
            65..=74 => asks.max_age = Some(self.rng.i64(1..60)),
            75..=94 => asks.not_before = Some(NotBefore::Invalidation),
            _ => asks.not_before = Some(NotBefore::Ago(self.time(20))),
        }
        asks
    }

    fn reply(&mut self) -> Reply {
        let takes = match self.rng.u32(0..100) {
            0..=9 => 0,
            10..=79 => self.time(3),
            _ => self.time(6),
        };
        let ending = match self.rng.u32(0..100) {
            0..=69 => Ending::Success { age: 0 },
            _ if self.is_kind => Ending::Success { age: 0 },
            70..=79 => Ending::Success { age: self.rng.i64(0..=20) * SECOND },
            80..=97 => self.failure(),
            _ => Ending::Panic,
        };
        Reply { takes, ending }
    }

    fn failure(&mut self) -> Ending {
        let invalid = ParseError { field: "body", problem: "not a JSON object" };
        let errors = [
            UpstreamError::Unreachable(Cause::Closed),
            UpstreamError::Timeout,
            UpstreamError::Throttled(None),
            UpstreamError::Status(500),
            UpstreamError::Invalid(invalid),
        ];
        Ending::Failure(errors[self.rng.usize(0..errors.len())])
    }
}
