//! Draws schedules. One in four is calm, to judge the rules that hold while no message is lost.

use std::time::Duration;

use fastrand::Rng;

use super::clock::{REPLICAS, STORE};
use super::schedule::{
    Action, BALANCES, CALLS, Call, Ending, Limit, Mood, Reply, Schedule, Step, Stream, Terms,
};
use crate::alone::clock::{Ms, SECOND};
use crate::alone::log::Ages;
use crate::alone::schedule::{Asks, NotBefore};
use crate::store::Weather;
use balance_gateway::domain::{Cause, ParseError, UpstreamError};

/// Longest time of one read.
pub(crate) const DEADLINE: Ms = 10 * SECOND;
/// The longest delay of a message in a calm network, in milliseconds.
pub(crate) const CALM_DELAY: u64 = 2;

/// The source of all random choices in a schedule.
pub(crate) struct Chance {
    rng: Rng,
    mood: Mood,
    provider: Provider,
}

/// How the provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    /// Every read succeeds.
    Kind,
    /// Some reads fail.
    Mixed,
    /// Most reads fail with 500.
    Failing,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mood = match rng.u32(0..100) {
            0..=24 => Mood::Calm,
            25..=42 => Mood::Well,
            43..=57 => Mood::Spending,
            _ => Mood::Wild,
        };
        let provider = match rng.u32(0..100) {
            _ if matches!(mood, Mood::Well | Mood::Spending) => Provider::Kind,
            0..=32 => Provider::Kind,
            33..=87 => Provider::Mixed,
            _ => Provider::Failing,
        };
        Self { rng, mood, provider }
    }

    /// Whether every message arrives soon.
    fn is_network_calm(&self) -> bool {
        self.mood != Mood::Wild
    }

    pub(crate) fn schedule(mut self, seed: u64) -> Schedule {
        let steps = if self.mood == Mood::Spending { self.rng.usize(30..90) } else { self.rng.usize(10..30) };
        let replies = self.rng.usize(3..16);
        Schedule {
            seed,
            mood: self.mood,
            skews: [0; REPLICAS + 1].map(|_| self.skew()),
            links: [0; REPLICAS]
                .map(|_| if self.is_network_calm() || self.happens(80) { 0 } else { self.time(60) }),
            weathers: [(); REPLICAS].map(|()| self.weather()),
            ages: self.ages(),
            budget: self.budget(),
            limit: self.limit(),
            settle: [0, 500, 2000][self.rng.usize(0..3)],
            steps: (0..steps).map(|_| self.step()).collect(),
            replies: (0..replies).map(|_| self.reply()).collect(),
        }
    }

    /// True with this probability in percent.
    fn happens(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// Clocks that differ by up to half a minute from each other.
    fn skew(&mut self) -> Ms {
        if self.happens(50) { self.rng.i64(-15 * SECOND..=15 * SECOND) } else { self.rng.i64(-500..=500) }
    }

    fn ages(&mut self) -> Ages {
        let (fresh_for, max_age) = [(10, 60), (10, 60), (60, 60), (1, 60), (2, 10)][self.rng.usize(0..5)];
        Ages { fresh_for: fresh_for * SECOND, max_age: max_age * SECOND }
    }

    fn budget(&mut self) -> Terms {
        let small = match self.mood {
            Mood::Well => 0,
            Mood::Spending => 100,
            Mood::Calm => 50,
            Mood::Wild => 25,
        };
        let requests = if self.happens(small) { self.rng.u32(3..10) } else { 1000 };
        Terms { requests, per: [5, 20][self.rng.usize(0..2)] * SECOND }
    }

    fn limit(&mut self) -> Limit {
        let burst = self.rng.u32(3..20);
        Limit { requests: self.rng.u32(5..60), per: 10 * SECOND, burst }
    }

    fn weather(&mut self) -> Weather {
        if self.is_network_calm() {
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

    /// A random time up to about this many seconds.
    fn time(&mut self, seconds: Ms) -> Ms {
        match self.rng.u32(0..10) {
            0..=4 => self.rng.i64(0..=seconds * 2) * SECOND / 2,
            5..=7 => self.rng.i64(0..=seconds) * SECOND + self.rng.i64(0..=3),
            _ => self.rng.i64(0..=seconds * SECOND),
        }
    }

    fn pause(&mut self) -> Ms {
        match self.rng.u32(0..100) {
            _ if self.mood == Mood::Spending => self.short_pause(),
            0..=29 => self.rng.i64(0..12),
            30..=69 => self.time(3),
            70..=94 => self.time(15),
            _ => self.time(60),
        }
    }

    fn short_pause(&mut self) -> Ms {
        if self.happens(50) { self.rng.i64(0..12) } else { self.rng.i64(50..800) }
    }

    fn step(&mut self) -> Step {
        let (after, action) = (self.pause(), self.action());
        Step { after, action }
    }

    fn action(&mut self) -> Action {
        match self.mood {
            Mood::Well => return self.action_when_well(),
            Mood::Spending => return self.action_when_spending(),
            Mood::Calm | Mood::Wild => {}
        }
        match self.rng.u32(0..100) {
            0..=58 => Action::Call(self.call()),
            59..=61 => Action::Stream(self.stream()),
            62..=64 => Action::Notify { replica: self.replica() },
            65..=67 => self.spend(),
            68..=79 => Action::Invalidate { replica: self.replica(), balance: self.balance() },
            _ if self.mood == Mood::Calm => Action::Call(self.call()),
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
        }
    }

    /// One replica makes most of the calls, so that calls which the store forgets have an effect.
    fn action_when_spending(&mut self) -> Action {
        match self.rng.u32(0..100) {
            0..=81 => {
                let replica = if self.happens(75) { 0 } else { self.replica() };
                let asks = Asks { max_age: Some(0), not_before: Some(NotBefore::Ago(0)), ..Asks::default() };
                let balance = self.rng.usize(0..BALANCES);
                Action::Call(Call { replica, balance, asks, wait: DEADLINE + 2 * SECOND, takes: 0 })
            }
            82..=85 => Action::Replicate,
            86..=89 => Action::FailOver(0),
            90 => Action::Evict(CALLS),
            91..=93 => Action::StepClock { whose: STORE, by: self.clock_step(50) },
            94..=96 => Action::Cut(self.replica()),
            _ => Action::Kill(self.time(1)),
        }
    }

    fn action_when_well(&mut self) -> Action {
        match self.rng.u32(0..100) {
            0..=29 => Action::Poll {
                replica: self.replica(),
                balance: self.balance(),
                every: [50, 100, 400][self.rng.usize(0..3)],
                times: self.rng.u32(20..300),
            },
            30..=64 => Action::Call(self.call()),
            65..=69 => self.spend(),
            70..=74 => Action::Stream(self.stream()),
            75..=79 => Action::Notify { replica: self.replica() },
            80..=89 => Action::Invalidate { replica: self.replica(), balance: self.balance() },
            _ => Action::StepClock { whose: self.replica(), by: self.clock_step(30) },
        }
    }

    fn stream(&mut self) -> Stream {
        Stream {
            replica: self.replica(),
            balance: self.balance(),
            refresh: self.rng.i64(1..=20) * SECOND,
            pause: if self.happens(60) { 0 } else { self.time(70) },
            length: self.time(90),
        }
    }

    fn spend(&mut self) -> Action {
        Action::Spend {
            replica: self.replica(),
            cost: self.rng.u32(1..4),
            every: [10, 50, 300][self.rng.usize(0..3)],
            times: self.rng.u32(5..100),
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
            takes: if self.happens(80) { 0 } else { self.time(70) },
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
            _ if self.mood == Mood::Spending => self.rng.i64(0..300),
            0..=9 => 0,
            10..=79 => self.time(3),
            _ => self.time(6),
        };
        let ending = match self.rng.u32(0..100) {
            _ if self.provider == Provider::Kind => Ending::Success { age: 0 },
            0..=79 if self.provider == Provider::Failing => Ending::Failure(UpstreamError::Status(500)),
            0..=69 => Ending::Success { age: 0 },
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
            UpstreamError::Throttled(Some(Duration::from_secs(20))),
            UpstreamError::Status(500),
            UpstreamError::Invalid(invalid),
        ];
        Ending::Failure(errors[self.rng.usize(0..errors.len())])
    }
}
