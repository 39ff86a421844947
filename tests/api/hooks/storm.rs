//! A storm of genuine and forged notifications: callers stay fast, and the provider gets few calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::Operation;
use tokio::task::JoinSet;

use crate::harness::is_long;
use crate::process::{Gateway, Site, free_address};

const SECRET: &str = "whsec-of-the-storm-0123456789";
const PATH: &str = "/v1/accounts/treasury/balance";
const SENDERS: u32 = 8;

/// Sends one notification; every second one is forged.
async fn notify(client: &reqwest::Client, url: &str, number: u32) {
    let is_genuine = number.is_multiple_of(2);
    let secret = if is_genuine { SECRET } else { "forged" };
    let answer = client.post(url).header("x-webhook-token", secret).body("{}").send().await.unwrap();
    let expected: &[u16] = if is_genuine { &[200] } else { &[401, 429] };
    assert!(expected.contains(&answer.status().as_u16()), "{answer:?}");
}

/// Sends a caller's requests at a steady rate until `is_over` the number of answers; returns the sorted durations.
async fn call(gateway: Arc<Gateway>, is_over: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    let mut took = Vec::new();
    while !is_over(took.len()) {
        beat.tick().await;
        let asked = Instant::now();
        let reply = gateway.get(&gateway.api, PATH).await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        took.push(asked.elapsed());
    }
    took.sort();
    took
}

fn p99(took: &[Duration]) -> Duration {
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_notifications_costs_callers_and_provider_little() {
    let (count, calm_calls) = if is_long() { (10_000, 1000) } else { (400, 100) };
    let address = free_address();
    let lines = "budget = { requests = 1000000, per = \"1m\" }";
    let site = Site::with_provider(&format!("hooks = \"{address}\""), lines).await;
    let secret = site.folder.write("hook", SECRET);
    let hook = format!(
        "[hooks.brazil]\naccounts = [\"*\"]\n\
         header = {{ name = \"X-Webhook-Token\", secret = {{ file = {secret:?} }} }}\n[callers.all]"
    );
    site.rewrite("[callers.all]", &hook);
    let gateway = Arc::new(site.serve().await);
    gateway.get(&gateway.api, PATH).await.unwrap();
    let url = format!("http://{address}/hooks/brazil");
    let calm = call(Arc::clone(&gateway), |answers| answers == calm_calls).await;
    let memory = gateway.memory();
    site.provider.clear_calls();

    let is_over = Arc::new(AtomicBool::new(false));
    let is_storm_over = Arc::clone(&is_over);
    let stormy = tokio::spawn(call(Arc::clone(&gateway), move |_| is_storm_over.load(Ordering::Acquire)));
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (client, url) = (gateway.client.clone(), url.clone());
        senders.spawn(async move {
            // A thousand each second, all senders together.
            let mut beat = tokio::time::interval(Duration::from_millis(u64::from(SENDERS)));
            for number in (sender..count).step_by(usize::try_from(SENDERS).unwrap()) {
                beat.tick().await;
                // The senders' numbers are all even or all odd.
                notify(&client, &url, number / SENDERS).await;
            }
        });
    }
    senders.join_all().await;
    let storm = began.elapsed();
    is_over.store(true, Ordering::Release);
    let stormy = stormy.await.unwrap();

    let calls = site.provider.calls().iter().filter(|call| call.operation == Operation::Balance).count();
    let (grown, seconds) = (gateway.memory().saturating_sub(memory), storm.as_secs_f64());
    println!(
        "{count} notifications in {storm:?}: p99 {:?} calm, {:?} in the storm, {calls} calls, {grown} KiB more",
        p99(&calm),
        p99(&stormy)
    );
    let most = 2.0 * seconds.ceil() + 4.0;
    assert!(f64::from(u32::try_from(calls).unwrap()) <= most, "{calls} calls in {seconds} s");
    assert!(calls > 0, "genuine notifications are acted upon");
    assert!(grown < 16 * 1024, "{grown} KiB more");
}
