//! How much one hanging provider slows the others: 200 requests a second to all four, in five pairs of runs. In one run
//! of each pair, one provider accepts connections and never answers.
//!
//! `cargo bench --bench bulkhead` (two minutes). Everything is on this machine's loopback.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops at the first error"
)]
#![expect(clippy::disallowed_methods, reason = "it measures with the real clock")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, SimulatedProvider};
use sha2::{Digest, Sha256};

const PAIRS: usize = 5;
const RUN: Duration = Duration::from_secs(10);
const PER_SECOND: u32 = 200;
const HANGING: Kind = Kind::NtxpayMx;
const KEY: &str = "bgk_bench";

/// The results of one run.
struct Run {
    /// The 99th percentile of the time of an answer, over the three providers that work.
    p99: Duration,
    failed: usize,
    /// The longest wait for the provider that hangs in the other run of the pair. `answers` counts each of its answers.
    longest: Duration,
    answers: BTreeMap<String, usize>,
    calls: usize,
    resident_mib: u64,
}

/// A gateway in a separate process, killed on drop.
struct Gateway {
    child: Child,
    api: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(providers: &BTreeMap<&str, SimulatedProvider>, folder: &PathBuf) -> Gateway {
    let digest = Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let mut config = format!(
        "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n[callers.bench]\nkeys_sha256 = [\"{digest}\"]\n\
         accounts = [\"*\"]\nlimit = {{ requests = 1000000, per = \"1m\", burst = 1000000 }}\n"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_balance-gateway"));
    for (kind, provider) in providers {
        let credentials = provider.credentials();
        let variable = kind.replace('-', "_").to_uppercase();
        let secrets = if *kind == "pluggo" {
            vec![("api_key", credentials.api_key), ("session_token", credentials.session_token)]
        } else {
            vec![("token", credentials.token)]
        };
        let (url, budget) = (provider.url(), "budget = { requests = 100000, per = \"1m\" }");
        write!(config, "[providers.{kind}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n{budget}\n").unwrap();
        write!(config, "fresh_for = \"1s\"\n[accounts.{kind}]\nprovider = \"{kind}\"\n").unwrap();
        for (name, secret) in secrets {
            let variable = format!("{variable}_{}", name.to_uppercase());
            writeln!(config, "{name} = {{ env = \"{variable}\" }}").unwrap();
            command.env(variable, secret);
        }
    }
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let mut child = command.args(["serve", "--config"]).arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    Gateway { child, api: ready["api"].as_str().unwrap().to_owned() }
}

async fn run(is_hanging: bool, folder: &PathBuf) -> Run {
    let mut providers = BTreeMap::new();
    for kind in Kind::ALL {
        providers.insert(kind.as_str(), SimulatedProvider::start(kind).await.unwrap());
    }
    if is_hanging {
        providers[HANGING.as_str()].queue(Fault::on_any(FaultKind::StallHead).times(u32::MAX));
    }
    let gateway = start(&providers, folder);
    let client = Arc::new(client());
    let kinds: Vec<&str> = providers.keys().copied().collect();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let (mut asked, mut count) = (Vec::new(), 0);
    let end = Instant::now() + RUN;
    while Instant::now() < end {
        ticks.tick().await;
        let kind = kinds[count % kinds.len()].to_owned();
        count += 1;
        let (client, url) =
            (Arc::clone(&client), format!("http://{}/v1/accounts/{kind}/balance", gateway.api));
        asked.push(tokio::spawn(async move {
            let at = Instant::now();
            let reply = client.get(url).bearer_auth(KEY).send().await.unwrap();
            let took = at.elapsed();
            let body: serde_json::Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
            let answer = body.get("code").map_or("200", |code| code.as_str().unwrap()).to_owned();
            (kind, took, answer)
        }));
    }
    let (mut took, mut failed, mut longest, mut answers) = (Vec::new(), 0, Duration::ZERO, BTreeMap::new());
    for task in asked {
        let (kind, time, answer) = task.await.unwrap();
        if kind == HANGING.as_str() {
            longest = longest.max(time);
            *answers.entry(answer).or_default() += 1;
        } else {
            took.push(time);
            failed += usize::from(answer != "200");
        }
    }
    took.sort_unstable();
    let calls = providers[HANGING.as_str()].calls().len();
    let resident_mib = resident_mib(gateway.child.id());
    Run { p99: took[took.len() * 99 / 100], failed, longest, answers, calls, resident_mib }
}

fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

fn resident_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("bulkhead-{}", std::process::id()));
    println!(
        "| pair | p99 of the others, none hangs | one hangs | failed | resident, none hangs | one hangs |"
    );
    println!("|---|---|---|---|---|---|");
    let mut changes = Vec::new();
    let mut last = None;
    for pair in 1..=PAIRS {
        let (well, hanging) = (run(false, &folder).await, run(true, &folder).await);
        let failed = well.failed + hanging.failed;
        println!(
            "| {pair} | {:?} | {:?} | {failed} | {} MiB | {} MiB |",
            well.p99, hanging.p99, well.resident_mib, hanging.resident_mib
        );
        changes.push(hanging.p99.as_secs_f64() * 1e3 - well.p99.as_secs_f64() * 1e3);
        last = Some(hanging);
    }
    changes.sort_by(f64::total_cmp);
    println!("\nmedian change of the p99: {:+.3} ms", changes[PAIRS / 2]);
    let Run { longest, answers, calls, .. } = last.unwrap();
    println!(
        "the one that hangs: {calls} calls, its callers' longest wait {longest:?}, their answers {answers:?}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}
