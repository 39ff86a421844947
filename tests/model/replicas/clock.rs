//! The wall clocks of the replicas and the store's clock, each with its own error. They advance with the model's time.

use std::cell::Cell;

use crate::alone::clock::{self, Ms};
use balance_gateway::domain::{Clock, Moment};

pub(crate) const REPLICAS: usize = 3;
pub(crate) const CLOCKS: [Clock; REPLICAS] = [|| now(0), || now(1), || now(2)];

/// How far each clock is ahead: the replicas' wall clocks, then the store's clock.
type Skews = [Ms; REPLICAS + 1];
/// The store's place among the skews.
pub(crate) const STORE: usize = REPLICAS;

thread_local! {
    static SKEWS: Cell<Skews> = const { Cell::new([0; REPLICAS + 1]) };
}

/// Sets all clocks to the beginning.
pub(crate) async fn begin(skews: Skews) {
    clock::begin(Default::default()).await;
    SKEWS.set(skews);
}

/// Steps a replica's wall clock, or the store's.
pub(crate) fn step(whose: usize, by: Ms) {
    let mut skews = SKEWS.get();
    skews[whose] += by;
    SKEWS.set(skews);
}

fn now(replica: usize) -> Moment {
    let monotonic = tokio::time::Instant::now().into_std();
    Moment { monotonic, wall: clock::timestamp(clock::monotonic(monotonic) + SKEWS.get()[replica]) }
}

/// The store's clock, in microseconds since 1970.
pub(crate) fn store() -> u64 {
    let now = clock::timestamp(clock::reading().mono + SKEWS.get()[STORE]);
    now.as_microsecond().try_into().expect("a schedule is short")
}
