//! Configurations that change while the gateway serves: noticed by a signal or without one, taken whole or not at all.

mod credentials;
mod identities;
mod settings;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use balance_gateway::sandbox::{Call, Fault, FaultKind, Operation};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::{KEY, Reply, digest, eventually, is_long, record, value_of};
use crate::process::{Folder, Gateway, Site, exchange};

const PATH: &str = "/v1/accounts/treasury/balance";
const WORKS: &str = "config_reloads_total{result=\"ok\"}";
const REJECTED: &str = "config_reloads_total{result=\"rejected\"}";

async fn metric(gateway: &Gateway, series: &str) -> Option<f64> {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    value_of(&page, &format!("balance_gateway_{series}"))
}

const ROTATED: &str = "s3cr3t-that-was-rotated-4c1d";
const MISTYPED: &str = "s3cr3t-that-is-mistyped-9b07";

/// A budget that no test here spends.
const AMPLE: &str = "budget = { requests = 1000000, per = \"1m\" }\nbalance_path = \"/api/balance\"";

async fn site() -> Site {
    Site::with_provider("", AMPLE).await
}

/// Reloads so far: taken and refused.
async fn reloads(gateway: &Gateway) -> [u64; 2] {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    [WORKS, REJECTED].map(|series| {
        let value = value_of(&page, &format!("balance_gateway_{series}")).unwrap();
        value.to_string().parse().unwrap()
    })
}

async fn balance(gateway: &Gateway) -> Reply {
    gateway.get(&gateway.api, PATH).await.unwrap()
}

impl Site {
    /// Replaces a text in the configuration file, in one step.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{from}");
        self.replace("gateway.toml", &text.replacen(from, to, 1));
    }

    /// Replaces a file in one step, as an editor or a deployment does.
    fn replace(&self, name: &str, text: &str) {
        let written = self.folder.write(&format!("{name}.next"), text);
        fs::rename(written, self.folder.0.join(name)).unwrap();
    }

    /// A further account, with a token in this file.
    fn account(&self, name: &str, file: &str) -> String {
        let file = self.folder.0.join(file).display().to_string();
        format!("[accounts.{name}]\nprovider = \"ntxpay-br\"\ntoken = {{ file = \"{file}\" }}\n[callers.all]")
    }
}

/// Replaces a text in the configuration, sends SIGHUP, and waits until a reload is counted.
async fn change_and_reload(gateway: &Gateway, site: &Site, from: &str, to: &str) {
    let before = reloads(gateway).await;
    site.rewrite(from, to);
    gateway.signal("HUP");
    eventually("the reload is counted", || async { reloads(gateway).await != before }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_signal_accounts_come_and_go_and_the_others_keep_their_state() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;
    site.folder.write("token", &site.provider.credentials().token);

    change_and_reload(&gateway, &site, "[callers.all]", &site.account("second", "token")).await;
    let second = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();
    let kept = balance(&gateway).await;
    change_and_reload(&gateway, &site, &site.account("second", "token"), "[callers.all]").await;
    let gone = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();

    assert_eq!((before.status, second.status), (200, 200), "{second:?}");
    assert_eq!(kept.body, before.body, "the cached balance is still served");
    gone.assert_problem(404, "account_not_found");
    assert_eq!(reloads(&gateway).await, [2, 0]);
    eventually("both are in the log", || async { gateway.lines_of("config_reloaded").len() == 2 }).await;
    assert!(gateway.lines_of("config_reloaded").iter().all(|line| line["changed"] == "accounts.second"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_is_refused_as_a_whole_and_counted_once() {
    let site = site().await;
    let gateway = site.serve().await;
    balance(&gateway).await;

    let (good, bad) =
        ("[callers.all]", "[callers.new]\nkeys_sha256 = []\naccounts = []\n[callers.all]\nx = 1");
    change_and_reload(&gateway, &site, good, bad).await;
    assert_eq!(reloads(&gateway).await, [0, 1]);
    let line = &gateway.logged("config_rejected").await[0];
    assert!(line["error"].as_str().unwrap().contains("callers.all.x: unknown key"), "{line}");
    // Both the signal and the comparison of the files notice the bad configuration again; neither counts it again.
    gateway.signal("HUP");
    change_and_reload(&gateway, &site, bad, good).await;
    change_and_reload(&gateway, &site, good, bad).await;

    assert_eq!(reloads(&gateway).await, [1, 2]);
    assert_eq!(balance(&gateway).await.status, 200);
}

/// A refusal late in the reload: the text is valid, but the certificate and key of a new provider do not match.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reload_leaves_an_open_breaker_as_it_is() {
    let site = Site::with_provider("", "breaker = { failures = 1, cooldown = \"1m\" }\nretries = 0").await;
    let gateway = site.serve().await;
    let unavailable = FaultKind::Status { status: 503, retry_after: None, body: None };
    site.provider.queue(Fault::on_balance(unavailable));
    assert_eq!(balance(&gateway).await.status, 502);
    let [certificate, key] = ["certificate", "key"].map(|name| {
        let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        let text = if name == "key" { made.signing_key.serialize_pem() } else { made.cert.pem() };
        format!("{{ file = {:?} }}", site.folder.write(name, &text))
    });
    let identity = format!("client_identity = {{ certificate = {certificate}, private_key = {key} }}");
    let second =
        format!("[providers.second]\nkind = \"ntxpay-br\"\nbase_url = \"https://localhost:1\"\n{identity}\n");

    change_and_reload(&gateway, &site, "retries = 0", &format!("retries = 1\n{second}")).await;

    assert_eq!(reloads(&gateway).await, [0, 1]);
    assert_eq!(metric(&gateway, "breaker_state{provider=\"ntxpay-br\"}").await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_valid_and_broken_changes_under_load_fail_no_request() {
    let changes: u32 = if is_long() { 200 } else { 60 };
    let site = site().await;
    let gateway = Arc::new(site.serve().await);
    let load = Load::begin(&gateway).await;
    let of =
        |change: u32| if change % 10 == 9 { "broken".to_owned() } else { format!("{}s", 11 + change % 7) };

    let mut last = "[callers.all]".to_owned();
    for change in 0..changes {
        let next = format!(
            "[callers.other]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n",
            digest(&change.to_string())
        ) + &format!("limit = {{ requests = 1, per = \"{}\" }}\n[callers.all]", of(change));
        change_and_reload(&gateway, &site, &last, &next).await;
        last = next;
    }

    let (broken, load) = (changes / 10, load.end().await);
    assert_eq!(reloads(&gateway).await, [changes - broken, broken].map(u64::from));
    assert_eq!(load.failed, 0);
    assert!(load.answered > 100, "{}", load.answered);
    // The last change is a broken one, so the key of the one before it is in force.
    let key = (changes - 2).to_string();
    let reply = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(key).send().await;
    assert_eq!(reply.unwrap().status(), 200);
}

/// Callers that send requests until [`Load::end`]; every tenth request forces a read.
struct Load {
    is_over: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<Loaded>>,
}

/// The observations of a load.
#[derive(Default)]
struct Loaded {
    answered: u64,
    failed: u64,
}

impl Load {
    /// Reads a balance first, because other renewal rules apply to a token that was never accepted.
    async fn begin(gateway: &Arc<Gateway>) -> Self {
        assert_eq!(balance(gateway).await.status, 200);
        let is_over = Arc::new(AtomicBool::new(false));
        let ask = |_| {
            let (gateway, is_over) = (Arc::clone(gateway), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut loaded = Loaded::default();
                // A realistic rate: without it, the load would use the whole machine.
                let mut beat = interval(Duration::from_millis(10));
                beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !is_over.load(Ordering::Relaxed) {
                    beat.tick().await;
                    let demand = if loaded.answered % 10 == 0 { "no-cache" } else { "max-age=60" };
                    let request = gateway.client.get(format!("http://{}{PATH}", gateway.api));
                    let request = request.bearer_auth(gateway.key).header("cache-control", demand);
                    let reply = Reply::read(request.send().await.unwrap()).await;
                    loaded.answered += 1;
                    loaded.failed += u64::from(reply.status != 200);
                }
                loaded
            })
        };
        Self { callers: (0..4).map(ask).collect(), is_over }
    }

    async fn end(self) -> Loaded {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Loaded::default();
        for caller in self.callers {
            let one = caller.await.unwrap();
            all.answered += one.answered;
            all.failed += one.failed;
        }
        all
    }
}
