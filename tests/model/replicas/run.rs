//! Plays a schedule on a separate runtime, and returns its log.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::log::Event;
use super::schedule::{Action, Schedule};
use super::world::{Change, World};
use crate::alone::clock::{self, SECOND};

pub(crate) fn play(schedule: &Schedule, changes: &'static [Change]) -> Vec<Event> {
    fastrand::seed(schedule.seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // As a task: the runtime runs dozens of tasks between two polls of its main future.
    runtime.block_on(async { tokio::spawn(drive(schedule.clone(), changes)).await.unwrap() })
}

async fn drive(schedule: Schedule, changes: &'static [Change]) -> Vec<Event> {
    super::clock::begin(schedule.skews).await;
    let world = Arc::new(World::new(&schedule, changes));
    let stop = CancellationToken::new();
    world.link(schedule.links, &stop);
    // Waits until the replicas that link at the start have linked.
    clock::sleep(SECOND).await;
    let (mut tasks, mut invalidations) = (JoinSet::new(), 0);
    for step in schedule.steps {
        clock::sleep(step.after).await;
        match step.action {
            Action::Call(call) => {
                tasks.spawn(Arc::clone(&world).call(call));
            }
            Action::Poll { replica, balance, every, times } => {
                tasks.spawn(Arc::clone(&world).poll(replica, balance, every, times));
            }
            Action::Stream(of) => {
                tasks.spawn(Arc::clone(&world).stream(of));
            }
            Action::Spend { replica, cost, every, times } => {
                tasks.spawn(Arc::clone(&world).spend(replica, cost, every, times));
            }
            Action::Invalidate { replica, balance } => {
                tasks.spawn(Arc::clone(&world).invalidate(invalidations, replica, balance));
                invalidations += 1;
            }
            action => world.happen(action).await,
        }
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    // At least once, for a background refresh after the last answer.
    clock::sleep(SECOND).await;
    while world.provider.is_reading() {
        clock::sleep(SECOND).await;
    }
    stop.cancel();
    world.provider.log.take()
}
