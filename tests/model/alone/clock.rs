//! Simulated time: tokio's paused clock, a wall clock for each gateway, and a process that may freeze.
//!
//! The clocks belong to the thread, as every task of a schedule runs on the one that plays it.

use std::cell::Cell;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use balance_gateway::domain::Clock;
use balance_gateway::domain::Moment;

/// Milliseconds: a length, or a moment counted from the beginning of the schedule.
pub(crate) type Ms = i64;

pub(crate) const SECOND: Ms = 1000;
/// The gateway processes; each has its own wall clock.
pub(crate) const GATEWAYS: usize = 2;
pub(crate) const CLOCKS: [Clock; GATEWAYS] = [|| now(0), || now(1)];

/// The wall clocks' beginning, in Unix time.
const EPOCH: Ms = 1_800_000_000_000;

/// The readings of all clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The time without the freezes of the process: it stands still until no task is ready.
    pub(crate) tick: Ms,
    pub(crate) mono: Ms,
    pub(crate) walls: [Ms; GATEWAYS],
}

#[derive(Clone, Copy)]
struct State {
    start: Option<Instant>,
    frozen: Ms,
    skews: [Ms; GATEWAYS],
}

thread_local! {
    static STATE: Cell<State> = const { Cell::new(State { start: None, frozen: 0, skews: [0; GATEWAYS] }) };
}

/// Sets all clocks to the beginning; the wall clocks are off by their skews.
pub(crate) async fn begin(skews: [Ms; GATEWAYS]) {
    // An hour ahead, so that ages can be subtracted on a machine that has just started.
    tokio::time::advance(Duration::from_hours(1)).await;
    STATE.set(State { start: Some(Instant::now()), frozen: 0, skews });
}

pub(crate) fn reading() -> Reading {
    let State { frozen, skews, .. } = STATE.get();
    let mono = monotonic(Instant::now().into_std());
    Reading { tick: mono - frozen, mono, walls: skews.map(|skew| mono + skew) }
}

fn now(gateway: usize) -> Moment {
    Moment { monotonic: Instant::now().into_std(), wall: timestamp(reading().walls[gateway]) }
}

/// An instant of the monotonic clock in milliseconds.
pub(crate) fn monotonic(instant: std::time::Instant) -> Ms {
    let since = instant.duration_since(start().into_std()).as_millis();
    Ms::try_from(since).expect("a schedule is short")
}

fn start() -> Instant {
    STATE.get().start.expect("the schedule has begun")
}

pub(crate) fn timestamp(wall: Ms) -> Timestamp {
    Timestamp::from_millisecond(EPOCH + wall).expect("a schedule is short")
}

pub(crate) fn wall(timestamp: Timestamp) -> Ms {
    timestamp.as_millisecond() - EPOCH
}

pub(crate) fn duration(length: Ms) -> Duration {
    Duration::from_millis(length.unsigned_abs())
}

pub(crate) async fn sleep(length: Ms) {
    tokio::time::sleep(duration(length)).await;
}

/// Steps a gateway's wall clock.
pub(crate) fn step(gateway: usize, by: Ms) {
    let mut state = STATE.get();
    state.skews[gateway] += by;
    STATE.set(state);
}

/// Freezes the process for this long: every clock jumps, and every timer that expired meanwhile is late.
pub(crate) async fn freeze(length: Ms) {
    let state = STATE.get();
    STATE.set(State { frozen: state.frozen + length, ..state });
    tokio::time::advance(duration(length)).await;
}
