//! Many clients ask for one cold key at once: how often do caching proxies and the gateway ask an upstream that
//! takes a second, and how much longer do the clients wait?
//!
//! `cargo bench --bench cold_key` takes about a minute and prints a Markdown table. It skips servers that are not
//! installed (Debian: nginx, haproxy, varnish) and names them. Everything runs on loopback, and is stopped at the end.

mod clients;
mod contender;
mod round;
mod server;
mod table;

use std::io::{self, Write as _};
use std::process::ExitCode;

use balance_gateway::sandbox::{Kind, SimulatedProvider};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;

use contender::CONTENDERS;
use server::Server;
use table::Row;

/// How many clients ask at once.
const CLIENTS: [usize; 2] = [50, 1000];
/// How often each row is measured; the table shows medians.
const ROUNDS: usize = 5;
/// Key 0 is requested until a server is ready; then each measurement uses a new key.
const KEYS: usize = 1 + ROUNDS * CLIENTS.len() * CONTENDERS.len();
/// The open files of 1,000 clients, each with a connection upstream in the worst case, and a margin.
const OPEN_FILES: u64 = 4096;

fn main() -> ExitCode {
    match run() {
        Ok(table) => {
            // If nobody reads the output, the error does not matter.
            let _ = write!(io::stdout(), "{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cold_key: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<String> {
    raise_open_files()?;
    // On a separate thread, so that the upstream's work does not delay the measurement of the clients.
    let upstream = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let provider = upstream.block_on(SimulatedProvider::start(Kind::NtxpayBr))?;
    let clients = Builder::new_current_thread().enable_all().build()?;
    clients.block_on(async {
        tokio::select! {
            compared = compare(&provider) => compared,
            _ = tokio::signal::ctrl_c() => Err(io::Error::other("interrupted")),
        }
    })
}

/// Starts the contenders and measures them in turn, so that other load on the machine affects all of them.
async fn compare(provider: &SimulatedProvider) -> io::Result<String> {
    provider.set_field("BRL", None, "netBalance", round::AMOUNT);
    let (mut servers, mut missing) = (Vec::new(), Vec::new());
    for contender in &CONTENDERS {
        match Server::start(contender, provider).await? {
            Some(server) => servers.push(server),
            None => missing.push(contender.name),
        }
    }
    let row = |clients| servers.iter().map(move |server| Row { clients, server, rounds: Vec::new() });
    let mut rows: Vec<_> = CLIENTS.into_iter().flat_map(row).collect();
    let mut keys = 1..KEYS;
    for _ in 0..ROUNDS {
        for (row, key) in rows.iter_mut().zip(&mut keys) {
            let measured = round::measure(row.server, row.clients, key, provider).await?;
            eprintln!("{} clients, {}: {measured}", row.clients, row.server.contender.name);
            row.rounds.push(measured);
        }
    }
    let versions = servers.iter().map(|server| server.version.clone());
    let missing = missing.into_iter().map(|name| format!("{name} is not installed: skipped"));
    let notes: Vec<_> = versions.chain(missing).collect();
    Ok(format!("{}\n{}\n", table::render(&rows), notes.join("\n")))
}

/// Raises the limit of open files for this process and its children.
fn raise_open_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= OPEN_FILES) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(OPEN_FILES), maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        io::Error::other(format!("{OPEN_FILES} open files are needed (ulimit -Hn): {error}"))
    })
}
