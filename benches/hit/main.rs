//! What one answer costs: instructions, allocations and system calls, counted by valgrind's callgrind.
//!
//! `cargo bench --bench hit` counts every scenario; `cargo bench --bench hit -- hit --profile` counts one and prints
//! where its instructions go; `--keep=FILE` keeps callgrind's own file. Other load on the machine does not change the
//! counts. The bench needs valgrind (Debian: `valgrind`).

mod certificate;
mod client;
mod gateway;
mod profile;
mod scenario;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use balance_gateway::sandbox::{Kind, SimulatedProvider};
use tokio::runtime::{Builder, Runtime};

use certificate::Certificate;
use client::{Client, Http1};
use gateway::Gateway;
use profile::Profile;
use scenario::{HIT, SCENARIOS, Scenario, Work};

/// Requests before the count begins: every balance is cached and every buffer has its size.
const WARM_UP_ROUNDS: usize = 25;
/// Lines of a profile.
const PROFILE_LINES: usize = 40;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hit: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (flags, names): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|argument| argument.starts_with("--"));
    let keep = flags.iter().find_map(|flag| flag.strip_prefix("--keep=")).map(Path::new);
    let prints_profile = flags.iter().any(|flag| flag == "--profile");
    let is_chosen = |scenario: &&Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut table = String::from(
        "| scenario | instructions | allocations | system calls | clock readings |\n|---|---|---|---|---|\n",
    );
    for scenario in SCENARIOS.iter().filter(is_chosen) {
        let profile = count(&runtime, scenario, keep)?;
        let per_answer = |count| profile::per_answer(count, scenario.answers());
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} |",
            scenario.name,
            per_answer(profile.instructions),
            per_answer(profile.allocations),
            per_answer(profile.system_calls),
            per_answer(profile.clock_readings),
        );
        if prints_profile {
            table.push_str(&profile.top(scenario.answers(), PROFILE_LINES));
        }
    }
    io::stdout().write_all(table.as_bytes())
}

/// Runs the scenario against a gateway under callgrind and returns what its answers cost.
fn count(runtime: &Runtime, scenario: &Scenario, keep: Option<&Path>) -> io::Result<Profile> {
    let provider = runtime.block_on(SimulatedProvider::start(Kind::NtxpayBr))?;
    let certificate = Certificate::new()?;
    let gateway = Gateway::start(scenario, &provider, &certificate)?;
    let address = gateway.address_of(scenario);
    match scenario.work {
        Work::Answers => {
            let tls = certificate.client()?;
            let mut clients = (0..scenario.connections)
                .map(|_| Client::connect(scenario, address, &tls, runtime.handle()))
                .collect::<io::Result<Vec<_>>>()?;
            rounds(&gateway, scenario, |_| round(&mut clients, scenario.status))?;
        }
        Work::Events => {
            let mut streams = (0..scenario.connections)
                .map(|_| stream(scenario, address))
                .collect::<io::Result<Vec<_>>>()?;
            let mut reader = Http1::connect(address, None)?;
            let read = Scenario { fields: "Cache-Control: no-cache\r\n", ..HIT }.request();
            rounds(&gateway, scenario, |number| {
                let amount = format!("{}.25", 1000 + number);
                provider.set_field("BRL", None, "netBalance", &amount);
                reader.send(&read)?;
                reader.receive(200)?;
                let event = format!("\"available\":\"{amount}\"");
                streams.iter_mut().try_for_each(|stream| stream.receive_text(&event))
            })?;
        }
    }
    gateway.counts(keep)
}

/// Runs the warm-up rounds of a scenario, begins the count, and runs the counted rounds. Each round gets its number.
fn rounds(
    gateway: &Gateway,
    scenario: &Scenario,
    mut round: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<()> {
    (0..WARM_UP_ROUNDS).try_for_each(&mut round)?;
    gateway.reset_counts()?;
    (WARM_UP_ROUNDS..WARM_UP_ROUNDS + scenario.rounds).try_for_each(round)
}

/// Opens an event stream and waits for its first event.
fn stream(scenario: &Scenario, address: SocketAddr) -> io::Result<Http1> {
    let mut stream = Http1::connect(address, None)?;
    stream.send(&scenario.request())?;
    stream.receive_text("\"available\"")?;
    Ok(stream)
}

/// Sends one request on each connection, then reads the answers.
fn round(clients: &mut [Client], status: u16) -> io::Result<()> {
    for client in &mut *clients {
        client.send()?;
    }
    for client in clients {
        client.receive(status)?;
    }
    Ok(())
}
