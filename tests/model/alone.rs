//! The model test of freshness: random schedules in simulated time, judged by an oracle.
//!
//! A schedule is callers with demands, reads that are slow, fail, hang or carry an age, invalidations, disconnects,
//! other configurations, clocks that step and a process that freezes, at two gateways. All of it follows from one seed;
//! `BALANCE_GATEWAY_SEED=N` plays only that one. The oracle computes from its own log, in milliseconds, and uses none
//! of the code that it judges.
//!
//! Each of these changes was made to the code once, to see that a schedule catches it. The number in brackets is the
//! first seed that caught it; the second column names the rule.
//!
//! | change | broken rule |
//! |---|---|
//! | the age counts from the receipt of the answer (0) | `fetched_at` is not when the read was sent |
//! | `<=` for `<` at the ceiling (10) | promise 2 |
//! | `>` for `>=` where a snapshot is accepted (1) | an unnecessary read: the stored snapshot was good enough |
//! | `>` for `>=` where a read is joined (8) | another answer than the expected one |
//! | `<=` for `<` at `fresh_for` (3) | a stale answer without a refresh |
//! | a waiter takes any answer (0) | the join rule |
//! | a waiter takes any failure (44) | an error without a cause |
//! | an invalidation is forgotten in memory (1), or by reads (9) | a charge without a reason; another answer than the expected one |
//! | a hold is ignored by reads (2), by cached answers (0), by both (0) | a read while a failure is held |
//! | the ceiling is not judged again when the answer is handed over (3) | promise 2 |
//! | it is judged at the arrival of the waiter (4) | another answer than the expected one |
//! | a failed read erases the snapshot (0) | a wrong reason in `fwd=` |
//! | an older answer replaces a younger one (6), or is compared by one clock alone (7) | another answer than the expected one |
//! | the wall clock is ignored (6), or the monotonic one (0) | an age that is not the larger of both |
//! | the last snapshot without `stale-if-error` (0), with `not_before` (0), for a demand after an invalidation (1) | the join rule |
//! | the last snapshot when it is older than allowed (1), or over the ceiling (10) | the join rule; a refusal without a hold |
//! | two background refreshes for one entry (618), or none (0) | a second refresh; a stale answer without one |
//! | a refresh without its backoff (25), or during one that began meanwhile (25) | a read before the backoff has ended |
//! | a read ends when the caller that began it leaves (0) | a read that was dropped |
//! | a forced read counts as a background refresh (0) | a refresh that is not due |
//! | a caller that is refused by a small share of the budget refuses callers with a larger one (270) | an error without a cause |
//! | `only-if-cached` causes a read (1), or a refresh (6) | a read that it must not cause |
//! | no tolerance for other replicas' clocks (0), or a demand later than the arrival (42) | a charge that is not due |
//! | forced reads are never charged (0), or all reads are (0) | a missing charge; a charge that is not due |
//! | the label of a shared read (0), or of a failing provider (5), is wrong | another answer than the expected one |
//! | a caller begins a third read (12) | a caller's third read |
//! | a panic is passed on to waiters (23) | a read whose caller does not wait |
//! | a clock step is taken for an old `Age` (255) | another answer than the expected one |
//! | two identities share one balance (3) | a charge that is not due |

mod chance;
pub(crate) mod clock;
mod dispatch;
pub(crate) mod log;
mod oracle;
mod provider;
pub(crate) mod request;
mod run;
pub(crate) mod schedule;
mod world;

use std::thread;

use oracle::Tally;
use schedule::Schedule;

use crate::seeds::seeds;

/// Schedules of a normal run, and of a long one.
const NORMAL: u64 = 2_000;
const LONG: u64 = 100_000;

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in 0..50 {
        let schedule = Schedule::of(seed);

        let first = run::play(&schedule);

        assert!(!first.is_empty());
        assert_eq!(first, run::play(&Schedule::of(seed)), "seed {seed}");
    }
}

#[test]
fn no_schedule_breaks_a_promise() {
    let seeds = seeds(NORMAL, LONG);
    let stride = thread::available_parallelism().map_or(1, usize::from);

    let broken = thread::scope(|scope| {
        let part = |first| seeds.clone().skip(first).step_by(stride).find_map(|seed| judge(seed).err());
        let threads: Vec<_> = (0..stride).map(|first| scope.spawn(move || part(first))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });

    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn the_schedules_reach_every_rule() {
    let mut tally = Tally::default();

    for seed in 0..300 {
        tally.add(judge(seed).unwrap());
    }

    assert_eq!(tally.missing(), []);
}

/// Plays one schedule. If it breaks a rule, prints the whole schedule.
fn judge(seed: u64) -> Result<Tally, String> {
    let schedule = Schedule::of(seed);
    let events = run::play(&schedule);
    oracle::judge(&events).map_err(|(at, rule)| {
        let events = events.iter().take(at + 1).map(|event| format!("{event:?}"));
        let happened = events.collect::<Vec<_>>().join("\n");
        format!("{schedule}\n{happened}\n\nBALANCE_GATEWAY_SEED={seed} breaks a rule: {rule}")
    })
}
