//! Simulated time: tokio's paused clock, a wall clock for each gateway, and a process that may freeze.
//!
//! The clocks belong to the thread, as every task of a schedule runs on the one that plays it.

use std::cell::Cell;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::Clock;
use crate::domain::Moment;

/// Milliseconds, since the beginning of the schedule where it is a moment.
pub(super) type Ms = i64;

pub(super) const SECOND: Ms = 1000;
/// The gateway processes; each has a wall clock of its own.
pub(super) const GATEWAYS: usize = 2;
pub(super) const CLOCKS: [Clock; GATEWAYS] = [|| now(0), || now(1)];

/// The wall clocks' beginning, in Unix time.
const EPOCH: Ms = 1_800_000_000_000;

/// What all clocks show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Time without what the process was frozen: it stands still until nothing is left to do.
    pub(super) tick: Ms,
    pub(super) mono: Ms,
    pub(super) walls: [Ms; GATEWAYS],
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
pub(super) async fn begin(skews: [Ms; GATEWAYS]) {
    // An hour ahead, so that ages can be taken off on a machine that has just started.
    tokio::time::advance(Duration::from_hours(1)).await;
    STATE.set(State { start: Some(Instant::now()), frozen: 0, skews });
}

pub(super) fn reading() -> Reading {
    let State { frozen, skews, .. } = STATE.get();
    let mono = monotonic(Instant::now().into_std());
    Reading { tick: mono - frozen, mono, walls: skews.map(|skew| mono + skew) }
}

fn now(gateway: usize) -> Moment {
    Moment { monotonic: Instant::now().into_std(), wall: timestamp(reading().walls[gateway]) }
}

/// When an instant of the monotonic clock is.
pub(super) fn monotonic(instant: std::time::Instant) -> Ms {
    let since = instant.duration_since(start().into_std()).as_millis();
    Ms::try_from(since).expect("a schedule is short")
}

fn start() -> Instant {
    STATE.get().start.expect("the schedule has begun")
}

pub(super) fn timestamp(wall: Ms) -> Timestamp {
    Timestamp::from_millisecond(EPOCH + wall).expect("a schedule is short")
}

pub(super) fn wall(timestamp: Timestamp) -> Ms {
    timestamp.as_millisecond() - EPOCH
}

pub(super) fn duration(length: Ms) -> Duration {
    Duration::from_millis(length.unsigned_abs())
}

pub(super) async fn sleep(length: Ms) {
    tokio::time::sleep(duration(length)).await;
}

/// Steps a gateway's wall clock.
pub(super) fn step(gateway: usize, by: Ms) {
    let mut state = STATE.get();
    state.skews[gateway] += by;
    STATE.set(state);
}

/// Stops the process for so long: every clock jumps, and whatever was due meanwhile is late.
pub(super) async fn freeze(length: Ms) {
    let state = STATE.get();
    STATE.set(State { frozen: state.frozen + length, ..state });
    tokio::time::advance(duration(length)).await;
}
