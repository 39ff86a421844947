//! The clocks of the gateways. They show the order of events but no durations, so no hold ends, even on a slow
//! machine.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balance_gateway::clock;
use balance_gateway::domain::{Clock, Moment};

/// The life of the tokens that [`expire_tokens`] ends: shorter than `fresh_for`, and longer than a busy machine needs
/// to use a token.
pub(super) const TOKEN_LIFE: Duration = Duration::from_secs(15);
/// How far these clocks are ahead of real time: far enough that no timer set by them fires during a test.
const AHEAD: Duration = Duration::from_hours(24);

/// The clock in microseconds. Each reading adds one, so a later event has a later time.
static ORDER: AtomicU64 = AtomicU64::new(0);
/// A separate clock, because [`expire_tokens`] ends holds, too.
static ORDER_OF_TOKEN_CALLS: AtomicU64 = AtomicU64::new(0);

/// The clock for cells whose fault is in token calls, or for all others.
pub(super) fn clock(is_of_token_calls: bool) -> Clock {
    if is_of_token_calls { || next(&ORDER_OF_TOKEN_CALLS) } else { || next(&ORDER) }
}

/// Ends the life of the tokens in the cells whose fault is in token calls.
pub(super) fn expire_tokens() {
    let microseconds = u64::try_from(TOKEN_LIFE.as_micros()).unwrap();
    ORDER_OF_TOKEN_CALLS.fetch_add(microseconds, Ordering::SeqCst);
}

fn next(order: &AtomicU64) -> Moment {
    static START: OnceLock<Moment> = OnceLock::new();
    let start = START.get_or_init(|| {
        let now = clock::now();
        Moment { monotonic: now.monotonic + AHEAD, wall: now.wall }
    });
    start.later_by(Duration::from_micros(order.fetch_add(1, Ordering::SeqCst)))
}
