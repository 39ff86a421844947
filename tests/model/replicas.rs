//! The model test of three replicas that share a store: random schedules in simulated time, judged by an oracle with
//! its own log. It stands beside the model of one process, whose schedules it has no need to know.
//!
//! The replicas' wall clocks are up to half a minute apart and step; the store runs the shipping scripts behind a
//! network that delays, loses and reorders; it stops, fills up, takes no writes, fails over to what it held before,
//! loses everything, and its clock steps. One schedule in four is calm: then the replicas must be as one.
//! `BALANCE_GATEWAY_SEED=N` plays one schedule alone.
//!
//! Every replica reads through the upstream that ships, over a transport without sockets. Besides what a caller may get,
//! the oracle judges holds (no replica asks during one, and a refusal because of one does not outlast it), budgets (never
//! more than they allow, and not fewer) and liveness (an asked balance is refreshed within one deadline).
//!
//! The test makes the changes to the scripts that [`CHANGES`] names each time. These changes were made by hand, and not
//! noticed within 80 schedules:
//!
//! | change in a script | noticed by |
//! |---|---|
//! | no message of an invalidation | `tests/api/shared/reads.rs` |
//! | an aged answer replaces a younger snapshot | `tests/api/shared/reads.rs` |
//! | no message of the end of a read | nothing: waiters go on after the lease's deadline |
//! | no local shares while an epoch settles | nothing: the bound of the budget allows for local shares |
//! | the end of a call is not told | nothing: its span from the grant is longer than most calls |
//! | calls are not written back, or a stepped clock begins no epoch | nothing: the same bound |

mod chance;
mod clock;
mod log;
mod oracle;
mod provider;
mod run;
mod schedule;
mod world;

use std::thread;

use crate::seeds::seeds;
use oracle::Tally;
use schedule::Schedule;
use world::Change;

/// Schedules of a normal run, and of a long one.
const NORMAL: u64 = 1_000;
const LONG: u64 = 100_000;
/// Schedules among which a change to a script must be noticed.
const SEARCHED: u64 = 80;

/// Changes to the text of the scripts, each with a seed that catches it.
const CHANGES: [(Change, u64); 8] = [
    // The instant is that of the publication.
    (("'t', text(ask.instant), 'v'", "'t', text(now), 'v'"), 65),
    // A snapshot of an earlier turn than asked for is found; or of the very turn.
    (("turn > above and instant", "instant"), 36),
    (("turn > above and", "turn >= above and"), 36),
    // The instant that is asked for is ignored.
    (("turn > above and instant >= ask.since", "turn > above"), 17),
    // A lease that runs is not respected; one that has brought its snapshot does not end.
    (("token ~= ask.expired and", "false and"), 32),
    (("redis.call('HDEL', state, 'l' .. balance)", ""), 8),
    // More calls leave than there is budget for.
    (("local is_free = count < ask.share", "local is_free = true"), 17),
    // A failure that the provider told another replica is not held.
    (("if ends > now and is_failure(field, failure) then", "if false then"), 75),
];

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in 0..30 {
        let schedule = Schedule::of(seed);

        let first = run::play(&schedule, None);

        assert!(!first.is_empty());
        assert_eq!(first, run::play(&Schedule::of(seed), None), "seed {seed}");
    }
}

#[test]
fn no_schedule_of_several_replicas_breaks_a_promise() {
    let seeds = seeds(NORMAL, LONG);
    let stride = thread::available_parallelism().map_or(1, usize::from);

    let broken = thread::scope(|scope| {
        let part = |first| seeds.clone().skip(first).step_by(stride).find_map(|seed| judge(seed, None).err());
        let threads: Vec<_> = (0..stride).map(|first| scope.spawn(move || part(first))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });

    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn the_schedules_of_several_replicas_reach_every_rule() {
    let mut tally = Tally::default();

    for seed in 0..200 {
        tally.add(judge(seed, None).unwrap());
    }

    assert_eq!(tally.missing(), []);
}

#[test]
fn a_change_to_a_script_is_noticed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shared/lua");
    let scripts =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
    let scripts: String = scripts.map(Result::unwrap).collect();
    for ((before, _), _) in CHANGES {
        assert!(scripts.contains(before), "no script says {before}");
    }

    // The remembered seed, and others where the code has changed since.
    let caught_by = |change, seed| {
        std::iter::once(seed).chain(0..SEARCHED).find(|seed| judge(*seed, Some(change)).is_err())
    };
    let mut missed = Vec::new();
    for (change, seed) in CHANGES {
        match caught_by(change, seed) {
            Some(seed) => println!("{:?} is caught by seed {seed}", change.0),
            None => missed.push(change),
        }
    }

    assert!(missed.is_empty(), "{missed:#?}");
}

/// Plays one schedule; where it breaks a rule, tells all of it.
fn judge(seed: u64, change: Option<Change>) -> Result<Tally, String> {
    let schedule = Schedule::of(seed);
    let events = run::play(&schedule, change);
    oracle::judge(&schedule, &events).map_err(|(at, rule)| {
        let events = events.iter().take(at + 1).map(|event| format!("{event:?}"));
        let happened = events.collect::<Vec<_>>().join("\n");
        format!("{schedule}\n{happened}\n\nBALANCE_GATEWAY_SEED={seed} breaks a rule: {rule}")
    })
}
