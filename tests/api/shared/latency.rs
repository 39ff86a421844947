//! How long a change takes from the provider to a stream, when the provider notifies another replica.

use std::time::Duration;

use super::fleet::Fleet;
use crate::latency::{measure_at_once, setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_stream_of_another_replica_at_once() {
    let fleet = Fleet::with(2, &setup(Duration::ZERO)).await;

    let latencies = measure_at_once(&fleet.replicas[0], &fleet.replicas[1]).await;

    latencies.assert_goal("across two replicas");
}
