//! Model tests: random schedules in simulated time, judged by an oracle. One process by itself, and replicas that share
//! a simulated store.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code; helpers are not covered by allow-…-in-tests"
)]
#![expect(clippy::disallowed_methods, reason = "tests read clocks and their own switches")]

mod alone;
mod joining;
mod replicas;
mod seeds;
mod store;
mod waiters;
