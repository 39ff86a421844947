//! A thousand streams of one process: each sees the newest value, and the cost of a stream is bounded.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Kind, SimulatedProvider};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::{KEY, digest, eventually_within, is_long};
use crate::process::{Folder, Gateway};

/// How large the crowd is.
struct Extent {
    streams: u32,
    balances: usize,
    /// One change each second.
    changes: usize,
}

fn extent() -> Extent {
    if is_long() {
        Extent { streams: 1000, balances: 100, changes: 60 }
    } else {
        Extent { streams: 20, balances: 10, changes: 2 }
    }
}

/// The last value of each balance that a stream has received, by the type of the balance.
type Seen = Arc<Vec<Mutex<String>>>;

/// Reads one stream to its end as text: a thousand JSON parsers would use most of the processor time.
async fn read(api: String, seen: Seen, begun: Arc<AtomicU32>) {
    let mut stream = TcpStream::connect(&api).await.unwrap();
    let request =
        format!("GET /v1/events?refresh=60 HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut heard = 0;
    while let Ok(Some(line)) = lines.next_line().await {
        let field =
            |name: &str| Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?.to_owned());
        if let (true, Some(name), Some(amount)) =
            (line.starts_with("data: "), field("type"), field("available"))
        {
            let index: usize = name.trim_start_matches('T').parse().unwrap();
            *seen[index].lock().unwrap() = amount;
            heard += 1;
            if heard == seen.len() {
                begun.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// A gateway with this many balances of one account at a provider.
async fn start(extent: &Extent) -> (SimulatedProvider, Folder, Gateway) {
    let (folder, provider) = (Folder::new(), SimulatedProvider::start(Kind::Pluggo).await.unwrap());
    let credentials = provider.credentials();
    let key = folder.write("api_key", &credentials.api_key);
    let session = folder.write("session_token", &credentials.session_token);
    let mut balances = String::new();
    for index in 0..extent.balances {
        provider.set_field("BRL", Some(&format!("T{index}")), "balance", "1.00");
        write!(balances, "{{ currency = \"BRL\", type = \"T{index}\" }}, ").unwrap();
    }
    let config = format!(
        "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
         [providers.pluggo]\nkind = \"pluggo\"\nbase_url = \"{}\"\nfresh_for = \"30s\"\n\
         budget = {{ requests = 1000000, per = \"1m\" }}\n\
         [accounts.many]\nprovider = \"pluggo\"\napi_key = {{ file = \"{key}\" }}\n\
         session_token = {{ file = \"{session}\" }}\nbalances = [{balances}]\n\
         [callers.all]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\nstreams = 2000\n\
         limit = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n",
        provider.url(),
        digest(KEY)
    );
    let config = folder.write("gateway.toml", &config);
    let gateway = Gateway::start(&["serve", "--config", &config]).await;
    (provider, folder, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_of_a_crowd_sees_the_newest_value() {
    let extent = extent();
    let (provider, _folder, gateway) = start(&extent).await;
    let warm = gateway.get(&gateway.api, "/v1/balances").await.unwrap();
    assert_eq!(warm.json()["complete"], true, "{warm:?}");
    let memory_before = gateway.memory();

    let begun = Arc::new(AtomicU32::new(0));
    let mut readers = JoinSet::new();
    let mut crowd: Vec<Seen> = Vec::new();
    for _ in 0..extent.streams {
        let seen: Seen = Arc::new((0..extent.balances).map(|_| Mutex::default()).collect());
        crowd.push(Arc::clone(&seen));
        readers.spawn(read(gateway.api.clone(), seen, Arc::clone(&begun)));
    }
    eventually_within(Duration::from_mins(2), "every stream knows every balance", async || {
        begun.load(Ordering::Acquire) == extent.streams
    })
    .await;
    let (memory, processor, start) = (gateway.memory(), gateway.processor_time(), Instant::now());

    let mut slowest = Duration::ZERO;
    let mut beat = interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for change in 0..extent.changes {
        beat.tick().await;
        let (index, amount) = (change % extent.balances, format!("{}.50", change + 2));
        provider.set_field("BRL", Some(&format!("T{index}")), "balance", &amount);
        let path = format!("/v1/accounts/many/balance?currency=BRL&type=T{index}");
        let asked = Instant::now();
        let reply = gateway.get_with(&path, &[("cache-control", "no-cache")]).await;
        assert_eq!(reply.json()["available"], amount);
        eventually_within(Duration::from_secs(30), "every stream has the newest value", async || {
            crowd.iter().all(|seen| *seen[index].lock().unwrap() == amount)
        })
        .await;
        slowest = slowest.max(asked.elapsed());
    }

    let (took, spent) = (start.elapsed(), gateway.processor_time().saturating_sub(processor));
    let per_stream = memory.saturating_sub(memory_before) / u64::from(extent.streams);
    println!(
        "{} streams of {} balances, {} changes in {took:?}: slowest {slowest:?}, processor {spent:?}, \
         memory {memory} KiB, {per_stream} KiB per stream",
        extent.streams, extent.balances, extent.changes
    );
    // With few streams, the growth of the program itself dominates.
    let bound = if is_long() { 128 } else { 1024 };
    assert!(per_stream < bound, "{per_stream} KiB per stream");
}
