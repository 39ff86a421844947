//! Which schedules a run plays.

use std::ops::Range;

/// What a run judges: `BALANCE_GATEWAY_LONG` makes it long, `BALANCE_GATEWAY_SEED` plays one schedule alone.
pub(crate) fn seeds(normal: u64, long: u64) -> Range<u64> {
    if let Ok(seed) = std::env::var("BALANCE_GATEWAY_SEED") {
        let seed = seed.parse().expect("a seed is a number");
        return seed..seed + 1;
    }
    0..if std::env::var("BALANCE_GATEWAY_LONG").is_ok() { long } else { normal }
}
