//! The model test of freshness: random schedules in simulated time, judged by an oracle.
mod chance;
mod clock;
mod log;
mod oracle;
mod provider;
mod request;
mod run;
mod schedule;
mod world;

use std::ops::Range;
use std::thread;

use oracle::Tally;
use schedule::Schedule;

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
    let seeds = seeds();
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

/// What a run judges: `BALANCE_GATEWAY_LONG` makes it long, `BALANCE_GATEWAY_SEED` plays one schedule alone.
#[expect(clippy::disallowed_methods, reason = "the only switches of this test")]
fn seeds() -> Range<u64> {
    if let Ok(seed) = std::env::var("BALANCE_GATEWAY_SEED") {
        let seed = seed.parse().expect("a seed is a number");
        return seed..seed + 1;
    }
    0..if std::env::var("BALANCE_GATEWAY_LONG").is_ok() { LONG } else { NORMAL }
}

/// Plays one schedule; where it breaks a rule, tells all of it.
fn judge(seed: u64) -> Result<Tally, String> {
    let schedule = Schedule::of(seed);
    let events = run::play(&schedule);
    oracle::judge(&events).map_err(|(at, rule)| {
        let events = events.iter().take(at + 1).map(|event| format!("{event:?}"));
        let happened = events.collect::<Vec<_>>().join("\n");
        format!("{schedule}\n{happened}\n\nBALANCE_GATEWAY_SEED={seed} breaks a rule: {rule}")
    })
}
