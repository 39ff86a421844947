//! Everything at once: four providers, random faults, rotating secrets, callers with random demands. At the end, every
//! answer is checked for both promises against the providers' logs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Call, Fault, FaultKind, Kind, Operation, SimulatedProvider};
use fastrand::Rng;
use serde_json::Value;
use tokio::time::interval;

use crate::harness::{KEY, Reply, digest, eventually, is_long, record, value_of};
use crate::process::{Folder, Gateway};

/// Longest time between the gateway's last age check and this process reading the answer, on a busy machine.
const ON_THE_WAY: Duration = Duration::from_millis(200);
/// How long an error is explained by the last fault: the longest hold, and the breaker.
const RECOVERY: Duration = Duration::from_secs(12);

struct Scale {
    run: Duration,
    /// How long one provider has faults before the next one has.
    phase: Duration,
    callers: u64,
}

/// A gateway process in front of four providers, with its secrets in files.
struct Fleet {
    folder: Folder,
    providers: BTreeMap<&'static str, SimulatedProvider>,
    gateway: Gateway,
    /// When each provider last got a fault.
    troubled: Mutex<BTreeMap<&'static str, Instant>>,
}

/// One answer.
struct Seen {
    kind: &'static str,
    asked: Instant,
    read: Instant,
    is_in_trouble: bool,
    reply: Reply,
}

impl Seen {
    fn took(&self) -> Duration {
        self.read.duration_since(self.asked)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_faults_load_and_rotations_every_answer_is_exact_and_fresh() {
    let scale = if is_long() {
        Scale { run: Duration::from_mins(10), phase: Duration::from_secs(25), callers: 40 }
    } else {
        Scale { run: Duration::from_secs(16), phase: Duration::from_secs(2), callers: 8 }
    };
    let fleet = Arc::new(Fleet::start().await);
    let end = Instant::now() + scale.run;
    let calm_until = Instant::now() + scale.phase;
    let trouble = tokio::spawn(trouble(Arc::clone(&fleet), scale.phase, end));
    let rotation = tokio::spawn(rotate(Arc::clone(&fleet), scale.phase, end));
    let callers: Vec<_> =
        (0..scale.callers).map(|number| tokio::spawn(ask(Arc::clone(&fleet), end, number))).collect();

    let first_half = Instant::now() + scale.run / 2;
    tokio::time::sleep_until(first_half.into()).await;
    let halfway = fleet.process().await;
    let mut seen = Vec::new();
    for caller in callers {
        seen.extend(caller.await.unwrap());
    }
    trouble.await.unwrap();
    rotation.await.unwrap();

    let finished = fleet.process().await;
    println!("{}", fleet.judge(&seen));
    let p99_of = |is_calm: bool| {
        let in_time = |seen: &&Seen| !seen.is_in_trouble && (seen.asked < calm_until) == is_calm;
        let mut took: Vec<_> = seen.iter().filter(in_time).map(Seen::took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied()
    };
    println!(
        "p99 while all is calm {:?}, and of those beside a provider in trouble {:?}",
        p99_of(true),
        p99_of(false)
    );
    fleet.assert_calls_are_explained().await;
    println!("halfway {halfway:?}, at the end {finished:?}");
    assert!(finished.memory < halfway.memory * 1.25 + 4e6, "memory grows: {halfway:?}, {finished:?}");
    assert!(finished.descriptors <= halfway.descriptors + 20.0, "{halfway:?}, {finished:?}");
}

/// The resources that the process uses.
#[derive(Debug)]
struct Process {
    memory: f64,
    descriptors: f64,
}

impl Fleet {
    async fn start() -> Self {
        let folder = Folder::new();
        let mut text = format!(
            "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n[callers.all]\nkeys_sha256 = [\"{}\"]\n\
             accounts = [\"*\"]\nlimit = {{ requests = 1000000, per = \"1m\", burst = 1000000 }}\n",
            digest(KEY)
        );
        let mut providers = BTreeMap::new();
        for kind in Kind::ALL {
            let provider = SimulatedProvider::start(kind).await.unwrap();
            provider.set_drift(true);
            let credentials = provider.credentials();
            let (url, budget) = (provider.url(), "budget = { requests = 100000, per = \"1m\" }");
            write!(text, "[providers.{kind}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n{budget}\n").unwrap();
            write!(text, "attempt_timeout = \"1500ms\"\n[accounts.{kind}-demo]\nprovider = \"{kind}\"\n")
                .unwrap();
            let secrets = match kind {
                Kind::Pluggo => {
                    [("api_key", credentials.api_key), ("session_token", credentials.session_token)]
                }
                _ => [("client_id", credentials.client_id), ("client_secret", credentials.client_secret)],
            };
            for (name, secret) in secrets {
                let file = folder.write(&format!("{kind}-{name}"), &secret);
                writeln!(text, "{name} = {{ file = \"{file}\" }}").unwrap();
                record("secrets", &secret);
            }
            if kind == Kind::Pluggo {
                text.push_str("balances = [{ currency = \"BRL\" }]\n");
            }
            providers.insert(kind.as_str(), provider);
        }
        let config = folder.write("gateway.toml", &text);
        let gateway = Gateway::start(&["serve", "--config", &config]).await;
        Self { folder, providers, gateway, troubled: Mutex::default() }
    }

    async fn page(&self) -> String {
        self.gateway.get(&self.gateway.ops, "/metrics").await.unwrap().body
    }

    /// How often the gateway has read changed files.
    async fn reloads(&self) -> f64 {
        value_of(&self.page().await, "balance_gateway_config_reloads_total{result=\"ok\"}").unwrap()
    }

    async fn process(&self) -> Process {
        let page = self.page().await;
        let [memory, descriptors] = ["process_resident_memory_bytes", "process_open_fds"].map(|name| {
            value_of(&page, &format!("balance_gateway_{name}")).or(value_of(&page, name)).unwrap()
        });
        Process { memory, descriptors }
    }

    /// Checks every answer against the log of its provider, and returns a summary.
    fn judge(&self, seen: &[Seen]) -> String {
        let logs: BTreeMap<_, Vec<Call>> =
            self.providers.iter().map(|(kind, provider)| (*kind, provider.calls())).collect();
        let (mut oldest, mut failed) = (Duration::ZERO, BTreeMap::<String, u32>::new());
        for Seen { kind, read, reply, .. } in seen {
            if reply.status != 200 {
                let code = reply.json()["code"].as_str().unwrap().to_owned();
                assert_ne!(code, "internal");
                *failed.entry(format!("{kind} {code}")).or_default() += 1;
                continue;
            }
            let call = source(&logs[kind], &reply.json(), *read);
            let call = call.unwrap_or_else(|| panic!("no call of {kind} brought {}", reply.body));
            oldest = oldest.max(read.duration_since(call.instant));
        }
        assert!(oldest <= Duration::from_mins(1) + ON_THE_WAY, "{oldest:?}");
        format!("{} answers, the oldest {oldest:?} old; failures {failed:?}", seen.len())
    }

    /// Asserts that the gateway's count of attempts equals the calls in the providers' logs.
    async fn assert_calls_are_explained(&self) {
        let page = self.page().await;
        for (kind, provider) in &self.providers {
            let calls = provider.calls();
            for (label, operation) in [("balance", Operation::Balance), ("token", Operation::Token)] {
                let series = format!(
                    "balance_gateway_upstream_request_duration_seconds_count{{operation=\"{label}\",provider=\"{kind}\"}}"
                );
                let counted = value_of(&page, &series).unwrap();
                let logged = calls.iter().filter(|call| call.operation == operation).count();
                assert_eq!(counted.to_string(), logged.to_string(), "{kind} {label}");
            }
            assert!(calls.iter().all(|call| call.operation != Operation::Other));
        }
    }

    fn is_in_trouble(&self, kind: &str, at: Instant) -> bool {
        let troubled = self.troubled.lock().unwrap();
        troubled.get(kind).is_some_and(|last| at.saturating_duration_since(*last) < RECOVERY)
    }
}

/// The call behind an answer: the latest earlier one whose body contained every figure verbatim.
fn source<'a>(calls: &'a [Call], balance: &Value, read: Instant) -> Option<&'a Call> {
    let figures: Vec<String> = balance["reported"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, text)| format!("\"{name}\":{}", text.as_str().unwrap()))
        .collect();
    let brought = |call: &&Call| figures.iter().all(|figure| call.answer.contains(figure.as_str()));
    calls.iter().rev().filter(|call| call.instant <= read).find(brought)
}

/// Gives one provider after the other random faults.
async fn trouble(fleet: Arc<Fleet>, phase: Duration, end: Instant) {
    let mut rng = Rng::with_seed(7);
    let kinds: Vec<_> = fleet.providers.keys().copied().collect();
    let mut next = 0;
    // No faults at first, as a baseline.
    tokio::time::sleep(phase).await;
    while Instant::now() + phase < end {
        let kind = kinds[next % kinds.len()];
        next += 1;
        let phase_end = Instant::now() + phase;
        while Instant::now() < phase_end {
            let fault = match rng.u32(..12) {
                0 => FaultKind::status(500),
                1 => FaultKind::status(503),
                2 => FaultKind::Status { status: 429, retry_after: Some("1".to_owned()), body: None },
                3 => FaultKind::Delay { ms: rng.u64(..3000) },
                4 => FaultKind::StallHead,
                5 => FaultKind::StallBody,
                6 => FaultKind::CutBody,
                7 => FaultKind::Reset,
                8 => FaultKind::Garbage,
                9 => FaultKind::HugeBody { bytes: 100_000 },
                10 => FaultKind::ChunkedInvalid,
                _ => FaultKind::Body { text: "{\"grossBalance\":1e999}".to_owned() },
            };
            fleet.troubled.lock().unwrap().insert(kind, Instant::now());
            fleet.providers[kind].queue(Fault::on_any(fault));
            tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
        }
        fleet.providers[kind].clear_faults();
    }
}

/// Rotates client secrets one after the other; the provider accepts the old one until the gateway has read the new one.
async fn rotate(fleet: Arc<Fleet>, pause: Duration, end: Instant) {
    let mut generation = 0;
    let mut pace = interval(pause.max(Duration::from_secs(3)));
    while Instant::now() + pause * 3 < end {
        for (kind, provider) in fleet.providers.iter().filter(|(kind, _)| **kind != "pluggo") {
            pace.tick().await;
            let name = format!("{kind}-client_secret");
            let before = fleet.reloads().await;
            let old = std::fs::read_to_string(fleet.folder.0.join(&name)).unwrap();
            let new = format!("r0t4t3d-{kind}-{generation}");
            record("secrets", &new);
            provider.accept_secret(&new);
            let written = fleet.folder.write(&format!("{name}.next"), &new);
            std::fs::rename(written, fleet.folder.0.join(&name)).unwrap();
            eventually("the new secret is read", async || fleet.reloads().await > before).await;
            provider.refuse_secret(&old);
            provider.expire_tokens();
        }
        generation += 1;
    }
}

/// Requests one provider after the other until the end, with random pauses and demands.
async fn ask(fleet: Arc<Fleet>, end: Instant, number: u64) -> Vec<Seen> {
    let (mut rng, mut seen) = (Rng::with_seed(number), Vec::new());
    let kinds: Vec<_> = fleet.providers.keys().copied().collect();
    while Instant::now() < end {
        let kind = kinds[rng.usize(..kinds.len())];
        let demand = match rng.u32(..50) {
            0 => "no-cache".to_owned(),
            1 => "no-cache, stale-if-error".to_owned(),
            2 => format!("max-age={}", rng.u32(..60)),
            _ => "max-stale".to_owned(),
        };
        let asked = Instant::now();
        let url = format!("http://{}/v1/accounts/{kind}-demo/balance", fleet.gateway.api);
        let request = fleet.gateway.client.get(url).bearer_auth(KEY).header("cache-control", demand);
        let reply = Reply::read(request.send().await.unwrap()).await;
        let read = Instant::now();
        let is_in_trouble = fleet.is_in_trouble(kind, asked) || fleet.is_in_trouble(kind, read);
        assert!(reply.status == 200 || is_in_trouble, "{kind} is not in trouble: {reply:?}");
        seen.push(Seen { kind, asked, read, is_in_trouble, reply });
        tokio::time::sleep(Duration::from_millis(rng.u64(50..350))).await;
    }
    seen
}
