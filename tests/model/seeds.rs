//! Which schedules a run plays.

use std::ops::Range;

/// The schedules that a run judges: `BALANCE_GATEWAY_LONG` makes it long, `BALANCE_GATEWAY_SEED=N` plays one alone, and
/// `BALANCE_GATEWAY_SEEDS=N..M` plays a part.
pub(crate) fn seeds(normal: u64, long: u64) -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("BALANCE_GATEWAY_SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    if let Ok(seeds) = std::env::var("BALANCE_GATEWAY_SEEDS") {
        let (first, end) = seeds.split_once("..").expect("seeds are two numbers with two dots between them");
        return number(first)..number(end);
    }
    0..if std::env::var("BALANCE_GATEWAY_LONG").is_ok() { long } else { normal }
}
