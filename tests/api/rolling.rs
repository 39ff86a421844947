//! A rolling restart behind a load balancer, as in a deployment: no request may fail.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::events::reader::{Event, Events};
use crate::harness::{self, KEY, eventually, eventually_within, is_long};
use crate::process::{Folder, Gateway, Site, exchange, free_address};

const CONNECTIONS: u32 = 32;

/// A load balancer in front of the instances, killed on drop.
struct Balancer {
    child: Child,
    api: String,
}

impl Balancer {
    async fn start(folder: &Folder, instances: &[Gateway]) -> Self {
        let api = free_address();
        let mut config = format!(
            "global\n maxconn 4000\ndefaults\n mode http\n retries 0\n timeout connect 1s\n timeout client 30s\n \
             timeout server 30s\nfrontend api\n bind {api}\n default_backend gateways\nbackend gateways\n \
             option httpchk GET /readyz\n"
        );
        for (index, instance) in instances.iter().enumerate() {
            let ops = instance.ops.rsplit_once(':').unwrap().1;
            let check = format!("check port {ops} inter 500ms fall 2 rise 1");
            writeln!(config, " server gateway{index} {} {check}", instance.api).unwrap();
        }
        let file = folder.write("haproxy.cfg", &config);
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-db", "-f", &file]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = haproxy.spawn().unwrap();
        eventually("the load balancer listens", || async { TcpStream::connect(&api).await.is_ok() }).await;
        Self { child, api }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an instance that listens at the same addresses after each restart.
async fn instance(drain_delay: &str, provider: &str) -> (Site, Gateway) {
    let site = Site::with_provider(&format!("drain_delay = \"{drain_delay}\""), provider).await;
    let gateway = site.serve().await;
    let config = fs::read_to_string(&site.config).unwrap();
    let fixed = config.replacen("api = \"127.0.0.1:0\"", &format!("api = \"{}\"", gateway.api), 1).replacen(
        "ops = \"127.0.0.1:0\"",
        &format!("ops = \"{}\"", gateway.ops),
        1,
    );
    site.folder.write("gateway.toml", &fixed);
    (site, gateway)
}

/// Sends requests at a steady rate until the end; returns the number of answers, and every answer other than 200.
async fn ask(api: String, pause: Duration, is_over: Arc<AtomicBool>) -> (u64, Vec<String>) {
    let request = format!(
        "GET /v1/accounts/treasury/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    let (mut answered, mut failed) = (0, Vec::new());
    let mut ticks = tokio::time::interval(pause);
    let mut stream = TcpStream::connect(&api).await.unwrap();
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        match exchange(&mut stream, &request).await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => answered += 1,
            Ok(answer) => failed.push(answer),
            Err(error) => {
                failed.push(error.to_string());
                stream = TcpStream::connect(&api).await.unwrap();
            }
        }
    }
    (answered, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_behind_a_load_balancer_fails_no_request() {
    let (rounds, per_second, drain_delay) = if is_long() { (5, 2000, "5s") } else { (1, 500, "2s") };
    let (first, second) = (instance(drain_delay, "").await, instance(drain_delay, "").await);
    let (sites, mut instances) = ([first.0, second.0], vec![first.1, second.1]);
    let balancer = Balancer::start(&sites[0].folder, &instances).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let pause = Duration::from_secs(1) * CONNECTIONS / per_second;
    let load: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ask(balancer.api.clone(), pause, Arc::clone(&is_over))))
        .collect();

    for _ in 0..rounds {
        for (site, instance) in sites.iter().zip(&mut instances) {
            instance.signal("TERM");
            assert_eq!(instance.ended().await.code(), Some(0), "{}", instance.output());
            *instance = site.serve().await;
            // The next instance stops only after the load balancer uses this one again.
            eventually("the instance gets requests again", || async {
                let page = instance.get(&instance.ops, "/metrics").await.unwrap().body;
                page.contains("http_requests_total{route=\"/v1/accounts/{account}/balance\",status=\"200\"}")
            })
            .await;
        }
    }

    is_over.store(true, Ordering::Relaxed);
    let (mut answered, mut failed) = (0, Vec::new());
    for caller in load {
        let (count, others) = caller.await.unwrap();
        answered += count;
        failed.extend(others);
    }
    println!("{answered} answered through {} restarts", rounds * 2);
    assert!(failed.is_empty(), "{} failed, first {:?}", failed.len(), failed.first());
}

/// The observations of a client of `/v1/events`.
#[derive(Default)]
struct Seen {
    newest: Mutex<String>,
    goodbyes: AtomicU64,
    cuts: AtomicU64,
}

/// Reads the stream, and connects again whenever it ends.
async fn follow(api: String, seen: Arc<Seen>) {
    let client = harness::client().build().unwrap();
    loop {
        let request = client.get(format!("http://{api}/v1/events?refresh=1")).bearer_auth(KEY);
        let response = request.send().await;
        if let Ok(response) = response
            && response.status() == 200
        {
            let mut events = Events::of(response);
            loop {
                match events.next().await {
                    Event::Named(name, data) if name == "balance" => {
                        data["available"].as_str().unwrap().clone_into(&mut seen.newest.lock().unwrap());
                    }
                    Event::Named(name, _) if name == "bye" => {
                        seen.goodbyes.fetch_add(1, Ordering::Relaxed);
                    }
                    Event::End { is_whole } => {
                        seen.cuts.fetch_add(u64::from(!is_whole), Ordering::Relaxed);
                        break;
                    }
                    Event::Named(..) | Event::Line(_) => {}
                }
            }
        }
        // `retry: 1000` asks for one second; the test waits less.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_move_to_the_other_instance_and_see_the_newest_state() {
    let lines = "fresh_for = \"1s\"";
    let (first, second) = (instance("2s", lines).await, instance("2s", lines).await);
    let (sites, mut instances) = ([first.0, second.0], vec![first.1, second.1]);
    let balancer = Balancer::start(&sites[0].folder, &instances).await;
    let clients: Vec<Arc<Seen>> = (0..6).map(|_| Arc::default()).collect();
    let mut following = JoinSet::new();
    for seen in &clients {
        following.spawn(follow(balancer.api.clone(), Arc::clone(seen)));
    }
    let all_see = async |amount: &str| {
        for site in &sites {
            site.provider.set_field("BRL", None, "netBalance", amount);
        }
        let seen = || clients.iter().all(|seen| *seen.newest.lock().unwrap() == amount);
        eventually_within(Duration::from_secs(30), "every stream has the newest amount", async || seen())
            .await;
    };
    all_see("1.00").await;

    for (round, site) in sites.iter().enumerate() {
        instances[round].signal("TERM");
        assert_eq!(instances[round].ended().await.code(), Some(0), "{}", instances[round].output());
        all_see(&format!("{}.50", round + 2)).await;
        instances[round] = site.serve().await;
        // The other instance stops only after the load balancer uses this one again.
        let (instance, balancer) = (&instances[round], &balancer);
        eventually("the instance gets requests again", || async {
            let asked = instance.get(&balancer.api, "/v1/accounts/treasury/balance").await;
            let page = instance.get(&instance.ops, "/metrics").await.unwrap().body;
            asked.is_ok()
                && page
                    .contains("http_requests_total{route=\"/v1/accounts/{account}/balance\",status=\"200\"}")
        })
        .await;
    }

    let sum = |count: fn(&Seen) -> &AtomicU64| -> u64 {
        clients.iter().map(|seen| count(seen).load(Ordering::Relaxed)).sum()
    };
    let (goodbyes, cuts) = (sum(|seen| &seen.goodbyes), sum(|seen| &seen.cuts));
    println!("{goodbyes} goodbyes, {cuts} cuts");
    assert!(goodbyes >= 6, "{goodbyes}");
    assert_eq!(cuts, 0, "each stream ended completely");
}
