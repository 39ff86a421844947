//! How much time a read through the gateway adds to the provider's own time: without a store, and with one on loopback.
//!
//! `cargo bench --bench miss` takes about ten seconds. Direct calls and reads take turns on keep-alive connections. The
//! store needs `redis-server` (Debian: `redis-server`); without it, only the first line is printed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops at the first error"
)]
#![expect(clippy::disallowed_methods, reason = "it measures with the real clock")]

mod gateway;
#[expect(dead_code, reason = "it reads no events")]
#[path = "../hit/client/http1.rs"]
mod http1;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Kind, SimulatedProvider};

use gateway::{Gateway, KEY};
use http1::Http1;

const READS: usize = 1000;
const WARM_UP: usize = 100;

/// A store in a separate process, killed on drop.
struct Store {
    child: Child,
    port: u16,
}

impl Store {
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn();
        Some(Self { child: child.ok()?, port })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    println!(
        "| store | provider p50 | read p50 | added p50 | provider p99 | read p99 |\n|---|---|---|---|---|---|"
    );
    measure("none", "", &runtime);
    if let Some(store) = Store::start() {
        let url = format!("redis://127.0.0.1:{}", store.port);
        let shared =
            format!("[shared]\nurl = \"{url}\"\nkey = {{ env = \"SHARED_KEY\" }}\ntimeout = \"500ms\"\n");
        measure("redis", &shared, &runtime);
    }
}

fn measure(store: &str, shared: &str, runtime: &tokio::runtime::Runtime) {
    let provider = runtime.block_on(SimulatedProvider::start(Kind::NtxpayBr)).unwrap();
    let gateway = Gateway::start(&provider, shared);
    let token = provider.credentials().token;
    let mut calls = CallLoop::new(provider.addr(), &request("/api/balance", &token, ""));
    let mut reads = CallLoop::new(
        gateway.api,
        &request("/v1/accounts/account/balance", KEY, "Cache-Control: no-cache\r\n"),
    );
    for number in 0..WARM_UP + READS {
        let (call, read) = (calls.ask(), reads.ask());
        if number >= WARM_UP {
            calls.took.push(call);
            reads.took.push(read);
        }
    }
    let (call, read) = (calls.percentiles(), reads.percentiles());
    let added = read.0.saturating_sub(call.0);
    println!("| {store} | {:?} | {:?} | {added:?} | {:?} | {:?} |", call.0, read.0, call.1, read.1);
}

fn request(path: &str, key: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{fields}\r\n")
        .into_bytes()
}

/// One connection that repeats one request.
struct CallLoop {
    connection: Http1,
    request: Vec<u8>,
    took: Vec<Duration>,
}

impl CallLoop {
    fn new(address: std::net::SocketAddr, request: &[u8]) -> Self {
        let connection = Http1::connect(address, None).unwrap();
        Self { connection, request: request.to_vec(), took: Vec::new() }
    }

    fn ask(&mut self) -> Duration {
        let at = Instant::now();
        self.connection.send(&self.request).unwrap();
        self.connection.receive(200).unwrap();
        at.elapsed()
    }

    /// The 50th and the 99th percentile.
    fn percentiles(&mut self) -> (Duration, Duration) {
        self.took.sort_unstable();
        (self.took[self.took.len() / 2], self.took[self.took.len() * 99 / 100])
    }
}
