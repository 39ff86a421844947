//! A hook's secret is rotated while notifications arrive: no genuine one is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::eventually;
use crate::process::{Gateway, Site, free_address};

const SENDERS: usize = 4;

/// State shared by the senders.
struct Traffic {
    has_new_secret: AtomicBool,
    is_over: AtomicBool,
    answered: AtomicU32,
    url: String,
    client: reqwest::Client,
}

async fn send(traffic: Arc<Traffic>, [old, new]: [String; 2]) -> Vec<u16> {
    let mut refused = Vec::new();
    // A thousand each second, all senders together.
    let mut beat = interval(Duration::from_millis(4));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !traffic.is_over.load(Ordering::Acquire) {
        beat.tick().await;
        let secret = if traffic.has_new_secret.load(Ordering::Acquire) { &new } else { &old };
        let request = traffic.client.post(&traffic.url).header("x-webhook-token", secret).body("{}");
        match request.send().await.unwrap().status().as_u16() {
            202 => traffic.answered.fetch_add(1, Ordering::AcqRel),
            status => {
                refused.push(status);
                0
            }
        };
    }
    refused
}

async fn reload(gateway: &Gateway, site: &Site, from: &str, to: &str) {
    let before = gateway.lines_of("config_reloaded").len();
    site.rewrite(from, to);
    gateway.signal("HUP");
    eventually("the reload is logged", async || gateway.lines_of("config_reloaded").len() > before).await;
}

/// Waits until notifications that were sent from now on have been answered.
async fn some_are_answered(traffic: &Traffic) {
    let before = traffic.answered.load(Ordering::Acquire);
    // Each sender may already have had one notification in flight.
    let enough = before + u32::try_from(SENDERS).unwrap() * 3;
    eventually("notifications are answered", async || traffic.answered.load(Ordering::Acquire) >= enough)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_rotated_under_load_without_a_refused_notification() {
    let address = free_address();
    let site = Site::new(&format!("hooks = \"{address}\"")).await;
    let secrets = ["whsec-before-the-rotation-0123456789", "whsec-after-the-rotation-9876543210"];
    let [old, new] = [("old", secrets[0]), ("new", secrets[1])]
        .map(|(name, secret)| format!("{{ file = {:?} }}", site.folder.write(name, secret)));
    let hook = format!(
        "[hooks.brazil]\naccounts = [\"*\"]\nanswer = 202\n\
         header = {{ name = \"X-Webhook-Token\", secret = {old} }}\n[callers.all]"
    );
    site.rewrite("[callers.all]", &hook);
    let gateway = site.serve().await;
    let traffic = Arc::new(Traffic {
        has_new_secret: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        answered: AtomicU32::new(0),
        url: format!("http://{address}/hooks/brazil"),
        client: gateway.client.clone(),
    });
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(send(Arc::clone(&traffic), secrets.map(str::to_owned)));
    }

    some_are_answered(&traffic).await;
    reload(&gateway, &site, &format!("secret = {old}"), &format!("secret = [{old}, {new}]")).await;
    some_are_answered(&traffic).await;
    traffic.has_new_secret.store(true, Ordering::Release);
    some_are_answered(&traffic).await;
    reload(&gateway, &site, &format!("secret = [{old}, {new}]"), &format!("secret = {new}")).await;
    some_are_answered(&traffic).await;
    traffic.is_over.store(true, Ordering::Release);

    let refused: Vec<u16> = senders.join_all().await.concat();
    println!("{} answered", traffic.answered.load(Ordering::Acquire));
    assert!(refused.is_empty(), "{refused:?}");
    let request = traffic.client.post(&traffic.url).header("x-webhook-token", secrets[0]);
    assert_eq!(request.send().await.unwrap().status(), 401, "the old secret is no longer accepted");
}
