//! Refreshes over a slow network: between each gateway and the store, every message is delayed by up to 20 ms.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use super::processes::{Seen, SharedSite, age};
use crate::harness::is_long;
use crate::process::Gateway;

/// The longest delay of one message in one direction.
const JITTER: Duration = Duration::from_millis(20);
/// A command and its answer may take twice the jitter; the rest is for a busy machine.
const TIMEOUT: &str = "timeout = \"200ms\"";
const FRESH_FOR: u64 = 5;
const PATH: &str = "/v1/accounts/treasury/balance";

/// One caller of a replica, ten times a second.
async fn poll(gateway: Arc<Gateway>, end: Instant) -> Vec<Seen> {
    let (mut ticks, mut seen) = (interval(Duration::from_millis(100)), Vec::new());
    while Instant::now() < end {
        ticks.tick().await;
        let reply = gateway.get(&gateway.api, PATH).await.unwrap();
        seen.push(Seen { reply, read: Instant::now().into_std() });
    }
    seen
}

/// Forwards to this address; delays each message, but keeps their order. Returns the address of the forwarder.
async fn delaying(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&target).await else { continue };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let (near, far) = (near.into_split(), far.into_split());
            delay(near.0, far.1);
            delay(far.0, near.1);
        }
    });
    address
}

/// Forwards the bytes of one side to the other, each piece after its delay.
fn delay(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (pieces, mut delayed) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + JITTER.mul_f64(fastrand::f64());
            if pieces.send((due, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, piece)) = delayed.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_keep_up_while_messages_to_the_store_are_delayed() {
    let (seconds, slack) = if is_long() { (600, 1) } else { (12, 2) };
    let seconds = std::env::var("BALANCE_GATEWAY_SECONDS").map_or(seconds, |text| text.parse().unwrap());
    let shared_site = SharedSite::new(2, &format!("fresh_for = \"{FRESH_FOR}s\"")).await;
    let direct = shared_site.store.url();
    let address = delaying(direct.trim_start_matches("redis://").to_owned()).await;
    let config = fs::read_to_string(&shared_site.site.config).unwrap();
    let delayed =
        config.replace(&direct, &format!("redis://{address}")).replace("timeout = \"500ms\"", TIMEOUT);
    assert!(delayed.contains(&address) && delayed.contains(TIMEOUT));
    shared_site.site.folder.write("gateway.toml", &delayed);
    shared_site.site.provider.set_drift(true);
    let mut callers = JoinSet::new();
    for _ in 0..2 {
        let replica = Arc::new(shared_site.replica(0).await);
        callers.spawn(poll(replica, Instant::now() + Duration::from_secs(seconds)));
    }

    let seen: Vec<_> = callers.join_all().await.into_iter().flatten().collect();

    assert!(seen.iter().all(|seen| seen.reply.status == 200));
    let calls = shared_site.reads();
    let oldest = seen.iter().map(|seen| age(seen, &calls)).max().unwrap();
    println!("{} answers, {} calls, the oldest was {oldest:?} old", seen.len(), calls.len());
    assert!(oldest <= Duration::from_secs(FRESH_FOR + slack), "{oldest:?}");
}
