//! The model test of three replicas that share a store: random schedules in simulated time, judged by an oracle with
//! its own log. It is independent of the model of one process.
//!
//! The replicas' wall clocks are up to half a minute apart and step; the store runs the shipping scripts behind a
//! network that delays, loses and reorders messages. The store stops, fills up, refuses writes, fails over to older
//! data, loses everything, and its clock steps. One schedule in four is calm: then the replicas must act as one.
//! `BALANCE_GATEWAY_SEED=N` plays one schedule alone.
//!
//! Every replica reads through the shipped upstream, over a transport without sockets. Besides the answers of callers,
//! the oracle judges holds (no replica calls during one, and no refusal outlasts it), budgets (no more calls than
//! allowed, and no refusal below that) and liveness (a requested balance is refreshed within one deadline).

mod chance;
mod changes;
mod clock;
mod handles;
mod limit;
mod log;
mod oracle;
mod provider;
mod run;
mod schedule;
mod stories;
mod world;

use std::thread;

use crate::seeds::seeds;
use oracle::Tally;
use schedule::Schedule;
use world::Change;

/// Schedules of a normal run, and of a long one.
const NORMAL: u64 = 1_000;
const LONG: u64 = 100_000;
/// Seeds outside a normal run that once broke a rule.
const REMEMBERED: [u64; 19] = [
    1250, 2633, 3032, 3730, 3850, 5670, 6255, 6679, 7209, 7478, 9003, 22_909, 47_503, 55_714, 58_820, 59_969,
    60_531, 70_148, 72_378,
];

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in 0..30 {
        let schedule = Schedule::of(seed);

        let first = run::play(&schedule, &[]);

        assert!(!first.is_empty());
        assert_eq!(first, run::play(&Schedule::of(seed), &[]), "seed {seed}");
    }
}

#[test]
fn no_story_breaks_a_promise() {
    for story in stories::all() {
        judge(story, &[]).unwrap();
    }
}

#[test]
fn no_remembered_schedule_breaks_a_promise() {
    for seed in REMEMBERED {
        judge(seed, &[]).unwrap();
    }
}

#[test]
fn no_schedule_of_several_replicas_breaks_a_promise() {
    let seeds = seeds(NORMAL, LONG);
    let stride = thread::available_parallelism().map_or(1, usize::from);

    let broken = thread::scope(|scope| {
        let part = |first| seeds.clone().skip(first).step_by(stride).find_map(|seed| judge(seed, &[]).err());
        let threads: Vec<_> = (0..stride).map(|first| scope.spawn(move || part(first))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });

    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn the_schedules_of_several_replicas_reach_every_rule() {
    let mut tally = Tally::default();

    for seed in 0..200 {
        tally.add(judge(seed, &[]).unwrap());
    }

    assert_eq!(tally.missing(), []);
}

/// Plays one schedule. If it breaks a rule, prints the whole schedule.
fn judge(seed: u64, changes: &'static [Change]) -> Result<Tally, String> {
    let schedule = Schedule::of(seed);
    let events = run::play(&schedule, changes);
    oracle::judge(&schedule, &events).map_err(|(at, rule)| {
        let events = events.iter().take(at + 1).map(|event| format!("{event:?}"));
        let happened = events.collect::<Vec<_>>().join("\n");
        format!("{schedule}\n{happened}\n\nBALANCE_GATEWAY_SEED={seed} breaks a rule: {rule}")
    })
}
