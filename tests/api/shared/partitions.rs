//! Real servers on a network of their own, under faults that a seed draws: partitions, kills, pauses, clock steps, and
//! delay, loss and reordering where the kernel has them. The provider's own log decides whether an answer was right.
//!
//! Only a long run plays it, for ten minutes. `BALANCE_GATEWAY_SEED=N` plays one seed; `BALANCE_GATEWAY_SECONDS=N` sets
//! another length. If network namespaces cannot be made, the test says so and passes.

mod judge;
mod machines;
mod network;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::harness::is_long;
use judge::{Judged, ask, invalidate};
use machines::Machines;
use network::Network;

/// How long faults are drawn, and how long the run continues after the last fault is repaired.
const LENGTH: Duration = Duration::from_mins(10);
const CALM: Duration = Duration::from_secs(20);

fn switch(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_partitions_break_no_promise() {
    let seconds = switch("BALANCE_GATEWAY_SECONDS");
    if !is_long() && seconds.is_none() {
        return;
    }
    let network = match Network::new() {
        Ok(network) => network,
        Err(lack) => {
            println!("SKIPPED: no network of namespaces can be made: {lack}");
            return;
        }
    };
    println!("SKIPPED: steps of the store's clock: its allocator does not run under libfaketime");
    if !network.has_netem {
        println!("SKIPPED: delay, loss and reordering: this kernel has no netem");
    }
    let seed = switch("BALANCE_GATEWAY_SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let length = seconds.map_or(LENGTH, Duration::from_secs);
    println!("seed {seed}, {length:?}");

    let judged = play(&network, seed, length).await;

    println!("{judged}");
    assert!(judged.violations.is_empty(), "seed {seed}:\n{}", judged.violations.join("\n"));
    assert!(judged.answers > 100, "{judged}");
}

async fn play(network: &Network, seed: u64, length: Duration) -> Judged {
    let mut rng = Rng::with_seed(seed);
    let mut machines = Machines::start(network, seed.is_multiple_of(2)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let callers = machines.gateways.iter().enumerate().map(|(index, gateway)| {
        tokio::spawn(ask(Arc::clone(gateway), seed + index as u64, Arc::clone(&is_over)))
    });
    let callers: Vec<_> = callers.collect();
    let invalidating = tokio::spawn(invalidate(machines.gateways.clone(), seed, Arc::clone(&is_over)));

    let end = Instant::now() + length;
    let mut faults = Vec::new();
    while Instant::now() < end {
        let fault = machines.break_something(&mut rng);
        faults.push(fault);
        tokio::time::sleep(Duration::from_millis(rng.u64(500..8000))).await;
        machines.mend(&mut rng);
        tokio::time::sleep(Duration::from_millis(rng.u64(500..6000))).await;
    }
    machines.mend_all();
    let mended = Instant::now();
    machines.until_sharing().await;
    let joined = mended.elapsed();
    tokio::time::sleep(CALM).await;
    is_over.store(true, Ordering::Relaxed);

    let mut answers = Vec::new();
    for caller in callers {
        answers.extend(caller.await.unwrap());
    }
    answers.extend(invalidating.await.unwrap());
    Judged::of(&answers, &machines.calls(), faults, joined)
}
