//! What one answer costs: instructions, allocations and system calls, counted by valgrind's callgrind.
//!
//! `cargo bench --bench hit` counts every scenario; `cargo bench --bench hit -- hit --profile` counts one and prints
//! where its instructions go; `--keep=FILE` keeps callgrind's own file. The counts are the same on a busy machine. It needs valgrind (Debian: `valgrind`).

mod client;
mod gateway;
mod profile;
mod scenario;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use balance_gateway::sandbox::{Kind, SimulatedProvider};
use tokio::runtime::{Builder, Runtime};

use client::Client;
use gateway::Gateway;
use profile::Profile;
use scenario::{SCENARIOS, Scenario};

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
    let gateway = Gateway::start(scenario, &provider)?;
    let mut clients = (0..scenario.connections)
        .map(|_| Client::connect(gateway.address_of(scenario)))
        .collect::<io::Result<Vec<_>>>()?;
    let request = scenario.request();
    for _ in 0..WARM_UP_ROUNDS {
        round(&mut clients, &request, scenario.status)?;
    }
    gateway.reset_counts()?;
    for _ in 0..scenario.rounds {
        round(&mut clients, &request, scenario.status)?;
    }
    gateway.counts(keep)
}

/// Sends one request on each connection, then reads the answers.
fn round(clients: &mut [Client], request: &[u8], status: u16) -> io::Result<()> {
    for client in &mut *clients {
        client.send(request)?;
    }
    for client in clients {
        client.receive(status)?;
    }
    Ok(())
}
