//! The model test of generations: requests whose bodies come slowly, and reloads meanwhile, through the API that ships.
//!
//! The rule: caller, permission, account and balance belong to one configuration, the one in force when the body has
//! ended. A reload that gives the account another identity moves a request that waits for a read to the new account.
//!
//! Each of these changes was made to the code once, to see that a schedule catches it. The number in brackets is the
//! first seed that caught it:
//!
//! | change | broken rule |
//! |---|---|
//! | the configuration is not looked up again after the body (2), or only the caller and not the account (2) | a call for an account that was removed |
//! | a request that waits for a read is not moved to the new account (31) | the answer of an earlier configuration |
//! | it is moved only where no other reload came in between (49) | the answer of an earlier configuration |

mod connection;
mod log;
mod oracle;
mod provider;
mod schedule;
mod world;

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::clock::{self, GATEWAYS};
use crate::seeds::seeds;
use log::Event;
use oracle::Seen;
use schedule::{Action, Schedule};
use world::World;

/// Schedules of a normal run, and of a long one.
const NORMAL: u64 = 400;
const LONG: u64 = 50_000;

#[test]
fn a_request_is_answered_by_the_configuration_after_its_body() {
    for seed in seeds(NORMAL, LONG) {
        judge(seed);
    }
}

#[test]
fn the_schedules_reach_every_case() {
    let mut seen: Vec<Seen> = (0..200).flat_map(judge).collect();
    seen.sort_unstable();
    seen.dedup();

    assert_eq!(seen, Seen::ALL);
}

/// Plays one schedule. If it breaks a rule, it prints the whole schedule.
fn judge(seed: u64) -> Vec<Seen> {
    let schedule = Schedule::of(seed);
    let events = play(&schedule);
    oracle::judge(schedule.first, &events).unwrap_or_else(|(at, rule)| {
        let events: Vec<_> = events.iter().take(at + 1).map(|event| format!("{event:?}")).collect();
        panic!("{schedule:#?}\n{}\n\nBALANCE_GATEWAY_SEED={seed} breaks a rule: {rule}", events.join("\n"))
    })
}

fn play(schedule: &Schedule) -> Vec<Event> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { tokio::spawn(drive(schedule.clone())).await.unwrap() })
}

async fn drive(schedule: Schedule) -> Vec<Event> {
    clock::begin([0; GATEWAYS]).await;
    let world = Arc::new(World::new(schedule.first, schedule.replies));
    let mut asked = JoinSet::new();
    for step in schedule.steps {
        clock::sleep(step.after).await;
        match step.action {
            Action::Ask(ask) => {
                let request = asked.len();
                asked.spawn(Arc::clone(&world).ask(request, ask));
            }
            Action::Reload(setting) => world.reload(setting).await,
        }
    }
    asked.join_all().await;
    world.log.take()
}
