//! Draws schedules. Most times are multiples of half a second, so that events hit boundaries and coincide.

use fastrand::Rng;

use super::clock::{GATEWAYS, Ms, SECOND};
use super::log::Ages;
use super::schedule::{Action, Asks, BALANCES, Call, Ending, Lag, NotBefore, Reply, Schedule, Step};
use balance_gateway::domain::{Cause, ParseError, Priority, UpstreamError};

/// Longest time of one read, and of one request.
const DEADLINE: Ms = 10 * SECOND;
/// `fresh_for` and `max_age` in seconds; the defaults most often.
const AGES: [(Ms, Ms); 8] = [(10, 60), (10, 60), (10, 60), (1, 2), (5, 5), (2, 10), (1, 60), (60, 60)];

/// The source of all random choices in a schedule.
pub(crate) struct Chance(Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    pub(crate) fn schedule(mut self) -> Schedule {
        let steps = self.0.usize(12..36);
        let replies = self.0.usize(4..24);
        Schedule {
            skews: [0; GATEWAYS].map(|_| self.skew()),
            ages: [(); BALANCES].map(|()| self.ages()),
            steps: (0..steps).map(|_| self.step()).collect(),
            replies: (0..replies).map(|_| self.reply()).collect(),
        }
    }

    /// True with this probability in percent.
    fn happens(&mut self, percent: u32) -> bool {
        self.0.u32(0..100) < percent
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }

    /// The clocks of replicas agree within half a second, except in one schedule of ten.
    fn skew(&mut self) -> Ms {
        if self.happens(10) { self.0.i64(-90 * SECOND..=90 * SECOND) } else { self.0.i64(-500..=500) }
    }

    fn ages(&mut self) -> Ages {
        let (fresh_for, max_age) = self.one_of(&AGES);
        Ages { fresh_for: fresh_for * SECOND, max_age: max_age * SECOND }
    }

    fn gateway(&mut self) -> usize {
        usize::from(self.happens(20))
    }

    fn balance(&mut self) -> usize {
        usize::from(self.happens(25))
    }

    /// A random time up to about this many seconds.
    fn time(&mut self, seconds: Ms) -> Ms {
        match self.0.u32(0..10) {
            0..=5 => self.0.i64(0..=seconds * 2) * SECOND / 2,
            6..=8 => self.0.i64(0..=seconds) * SECOND + self.0.i64(0..=1),
            _ => self.0.i64(0..=seconds * SECOND),
        }
    }

    fn pause(&mut self) -> Ms {
        match self.0.u32(0..100) {
            0..=39 => 0,
            40..=74 => self.time(4),
            75..=94 => self.time(15),
            _ => self.time(70),
        }
    }

    fn step(&mut self) -> Step {
        let after = self.pause();
        let hops = if self.happens(60) { 0 } else { self.0.u8(1..8) };
        let action = match self.0.u32(0..100) {
            0..=79 => Action::Call(self.call()),
            80..=87 => Action::Invalidate { gateway: self.gateway(), balance: self.balance() },
            88..=89 => Action::Renew { gateway: self.gateway(), balance: self.balance() },
            90..=91 => Action::Limit { balance: self.balance(), ages: self.ages() },
            92..=93 => Action::Identify { balance: self.balance() },
            94..=96 => Action::StepWall { gateway: self.gateway(), by: self.wall_step() },
            _ => Action::Freeze(self.time(70)),
        };
        Step { after, hops, action }
    }

    fn wall_step(&mut self) -> Ms {
        let by = self.time(80);
        if self.happens(50) { -by } else { by }
    }

    fn call(&mut self) -> Call {
        Call {
            gateway: self.gateway(),
            balance: self.balance(),
            asks: self.asks(),
            wait: if self.happens(75) { DEADLINE } else { self.time(9) },
            lag: match self.0.u32(0..100) {
                0..=87 => Lag::None,
                88..=93 => Lag::Sleep(self.time(3)),
                94..=97 => Lag::Freeze(self.time(70)),
                _ => Lag::StepWall(self.wall_step()),
            },
            gives_up_after: self.happens(15).then(|| self.time(4)),
            may_force: self.happens(85),
        }
    }

    fn asks(&mut self) -> Asks {
        let mut asks = Asks::default();
        match self.0.u32(0..100) {
            0..=34 => {}
            35..=54 => asks.max_age = Some(0),
            55..=66 => asks.max_age = Some(self.0.i64(1..70)),
            67..=74 => asks.min_fresh = Some(self.0.i64(0..13)),
            75..=88 => asks.not_before = Some(self.not_before()),
            89..=93 => asks.only_if_cached = true,
            _ => {
                asks.max_age = self.happens(50).then(|| self.0.i64(0..30));
                asks.min_fresh = self.happens(50).then(|| self.0.i64(0..13));
                asks.not_before = self.happens(50).then(|| self.not_before());
                asks.only_if_cached = self.happens(30);
            }
        }
        asks.stale_if_error = self.happens(30).then(|| self.0.i64(0..80));
        asks
    }

    fn not_before(&mut self) -> NotBefore {
        match self.0.u32(0..10) {
            0..=4 => NotBefore::Invalidation,
            5..=8 => NotBefore::Ago(self.time(20)),
            _ => NotBefore::Ago(-self.time(20)),
        }
    }

    fn reply(&mut self) -> Reply {
        let wait = if self.happens(85) { 0 } else { self.time(3) };
        let takes = match self.0.u32(0..100) {
            0..=24 => 0,
            25..=79 => self.time(3),
            80..=92 => self.time(9),
            _ => {
                return Reply {
                    wait,
                    attempts: vec![DEADLINE - wait],
                    ending: self.failure(UpstreamError::Timeout),
                };
            }
        };
        let attempts = if self.happens(90) { vec![takes] } else { vec![self.time(2), takes] };
        match self.0.u32(0..100) {
            0..=51 => Reply { wait, attempts, ending: Ending::Success { age: 0 } },
            52..=63 => Reply { wait, attempts, ending: Ending::Success { age: self.time(12) } },
            64..=65 => Reply { wait, attempts, ending: Ending::Success { age: self.time(70) } },
            66..=80 => {
                let error = self.error();
                Reply { wait, attempts, ending: self.failure(error) }
            }
            81..=97 => Reply { wait, attempts, ending: self.refusal() },
            _ => Reply { wait, attempts, ending: Ending::Panic },
        }
    }

    fn error(&mut self) -> UpstreamError {
        let invalid = ParseError { field: "body", problem: "not a JSON object" };
        self.one_of(&[
            UpstreamError::Unreachable(Cause::Closed),
            UpstreamError::Throttled(None),
            UpstreamError::Status(500),
            UpstreamError::Refused,
            UpstreamError::Invalid(invalid),
            UpstreamError::TooLarge,
        ])
    }

    /// An attempt that failed begins a hold.
    fn failure(&mut self, error: UpstreamError) -> Ending {
        Ending::Failure { error, held_for: self.one_of(&[1, 2, 5, 30]) * SECOND }
    }

    fn refusal(&mut self) -> Ending {
        let (error, unless) = self.one_of(&[
            (UpstreamError::Busy, None),
            (UpstreamError::Suspended, None),
            (UpstreamError::BudgetExhausted, None),
            (UpstreamError::BudgetExhausted, Some(Priority::Plain)),
            (UpstreamError::BudgetExhausted, Some(Priority::Demanded)),
        ]);
        Ending::Refusal { error, unless, retry_in: self.time(3) }
    }
}
