//! Streams and notifications of replicas that share: a balance that one replica reads reaches the streams of all.

use std::time::{Duration, Instant};

use super::fleet::{Fleet, KIND};
use crate::events::reader::Events;
use crate::harness::Setup;

const ONE: &str = "?account=ntxpay-br-demo";
const SECRET: &str = "secret-of-the-hook-of-the-fleet-0123456789";

fn setup(settle: &str) -> Setup {
    Setup {
        server: "hooks = \"127.0.0.1:0\"".to_owned(),
        further: format!(
            "[hooks.brazil]\naccounts = [\"ntxpay-br-*\"]\nsettle = \"{settle}\"\n\
             header = {{ name = \"x-token\", secret = {{ env = \"HOOK_SECRET\" }} }}\n"
        ),
        secrets: vec![("HOOK_SECRET", SECRET.to_owned())],
        ..Setup::default()
    }
}

async fn notify(fleet: &Fleet, replica: usize) {
    let gateway = &fleet.replicas[replica];
    let url = format!("http://{}/hooks/brazil", gateway.hooks.unwrap());
    let answer = gateway.client.post(url).header("x-token", SECRET).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

fn set(fleet: &Fleet, amount: &str) {
    fleet.replicas[0].provider(KIND).set_field("BRL", None, "netBalance", amount);
}

#[tokio::test]
async fn a_balance_read_by_one_replica_reaches_the_streams_of_another_without_a_call() {
    let fleet = Fleet::of(2).await;
    let mut events = Events::open(&fleet.replicas[1], ONE).await.begin().await;
    events.balance().await;
    set(&fleet, "42.00");

    let read = fleet.replicas[0].new_balance(KIND).await.json();

    let heard = events.balance().await;
    assert_eq!(heard["available"], "42.00");
    assert_eq!(heard["fetched_at"], read["fetched_at"], "the same snapshot");
    assert_eq!(fleet.reads(), 2);
}

#[tokio::test]
async fn a_notification_at_one_replica_reaches_the_streams_of_all_with_one_call() {
    let fleet = Fleet::with(3, &setup("0s")).await;
    let mut streams = Vec::new();
    for replica in &fleet.replicas {
        let mut events = Events::open(replica, ONE).await.begin().await;
        events.balance().await;
        streams.push(events);
    }
    let before = fleet.reads();
    set(&fleet, "42.00");

    notify(&fleet, 0).await;

    for events in &mut streams {
        assert_eq!(events.balance().await["available"], "42.00");
    }
    assert_eq!((before, fleet.reads()), (1, 2));
}

#[tokio::test]
async fn notification_storms_at_every_replica_cost_as_many_reads_as_one() {
    let fleet = Fleet::with(3, &setup("0s")).await;
    let mut events = Events::open(&fleet.replicas[0], ONE).await.begin().await;
    events.balance().await;
    let before = fleet.reads();
    let began = Instant::now();

    while began.elapsed() < Duration::from_secs(3) {
        for replica in 0..3 {
            notify(&fleet, replica).await;
        }
    }
    set(&fleet, "42.00");
    notify(&fleet, 2).await;

    while events.balance().await["available"] != "42.00" {}
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    let reads = fleet.reads() - before;
    assert!(reads <= seconds + 2, "{reads} reads in {seconds} s");
}
