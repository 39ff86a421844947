//! Plays a schedule on a separate runtime, and returns its log.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::clock::{self, SECOND};
use super::log::Event;
use super::schedule::{Action, Schedule};
use super::world::World;

pub(crate) fn play(schedule: &Schedule) -> Vec<Event> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // As a task: the runtime runs dozens of tasks between two polls of its main future.
    runtime.block_on(async { tokio::spawn(drive(schedule.clone())).await.unwrap() })
}

async fn drive(schedule: Schedule) -> Vec<Event> {
    clock::begin(schedule.skews).await;
    let world = Arc::new(World::new(schedule.ages, schedule.replies));
    let mut callers = JoinSet::new();
    for step in schedule.steps {
        clock::sleep(step.after).await;
        for _ in 0..step.hops {
            hop().await;
        }
        match step.action {
            Action::Call(call) => {
                let caller = callers.len();
                callers.spawn(Arc::clone(&world).call(caller, call));
            }
            Action::Invalidate { gateway, balance } => world.invalidate(gateway, balance),
            Action::Limit { balance, ages } => world.with(balance, |balance| balance.ages = ages),
            Action::Identify { balance } => world.with(balance, |balance| balance.identity += 1),
            Action::Renew { gateway, balance } => world.renew(gateway, balance).await,
            Action::StepWall { gateway, by } => world.step_wall(gateway, by),
            Action::Freeze(length) => world.freeze(length).await,
        }
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    // At least once, for a background refresh after the last answer.
    clock::sleep(SECOND).await;
    while world.provider.is_reading() {
        clock::sleep(SECOND).await;
    }
    world.provider.log.take()
}

/// Lets each ready task run once.
async fn hop() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
