//! The real gateway on port 0 in front of simulated providers, and a client that reads its answers.
//!
//! Every answer and log line is also written to a file, and every secret in use to another: `tests/run` searches
//! the first for the second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use balance_gateway::app::App;
use balance_gateway::domain::Moment;
use balance_gateway::sandbox::{Call, Credentials, Kind, Operation, SimulatedProvider};
use balance_gateway::shutdown::Shutdown;
use balance_gateway::telemetry::{self, Telemetry};
use balance_gateway::{clock, config};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

/// Longest wait for a condition in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The key of a caller that may read every account.
pub(crate) const KEY: &str = "bgk_test-key-of-the-caller-that-sees-all-accounts";

/// Whether this is the long run (`tests/run --long`).
pub(crate) fn is_long() -> bool {
    std::env::var_os("BALANCE_GATEWAY_LONG").is_some()
}

/// Sections with two disabled accounts: one disabled itself, one through its provider.
pub(crate) const SWITCHED_OFF: &str = r#"
[providers.off]
kind = "ntxpay-br"
base_url = "http://127.0.0.1:1"
enabled = false
[accounts.off-itself]
provider = "ntxpay-br"
enabled = false
token = { env = "NTXPAY_BR_CLIENT_ID" }
[accounts.off-with-its-provider]
provider = "off"
token = { env = "NTXPAY_BR_CLIENT_ID" }
"#;

/// Changes to the usual configuration; each text is TOML.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// Lines of `[server]`.
    pub(crate) server: String,
    /// Lines of `[freshness]`.
    pub(crate) freshness: String,
    /// Lines of every `[providers.…]`.
    pub(crate) provider: String,
    /// Lines of every `[accounts.…]`.
    pub(crate) account: String,
    /// Lines of the caller that may read every account.
    pub(crate) caller: String,
    /// Additional sections at the end.
    pub(crate) further: String,
    /// Whether accounts use fixed tokens instead of client credentials.
    pub(crate) has_static_tokens: bool,
    /// Variables and values that `further` names; the accounts' own are `<KIND>_CLIENT_ID` and so on.
    pub(crate) secrets: Vec<(&'static str, String)>,
    /// Base URLs of kinds with a server between gateway and provider.
    pub(crate) base_urls: HashMap<Kind, String>,
    /// The clock of ages, holds and budgets; without one the real clock.
    pub(crate) clock: Option<fn() -> Moment>,
}

/// A running gateway.
pub(crate) struct Harness {
    pub(crate) api: SocketAddr,
    pub(crate) ops: SocketAddr,
    /// Where notifications arrive, if `Setup::server` says so.
    pub(crate) hooks: Option<SocketAddr>,
    pub(crate) client: reqwest::Client,
    providers: Arc<HashMap<Kind, SimulatedProvider>>,
    shutdown: Shutdown,
    running: Option<JoinHandle<()>>,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Harness {
    /// Starts with one account per kind, named `<kind>-demo`.
    pub(crate) async fn start(setup: Setup) -> Self {
        Self::in_front_of(Arc::new(providers().await), &setup)
    }

    /// Starts a second, independent gateway in front of the same providers.
    pub(crate) fn beside(&self, setup: &Setup) -> Self {
        Self::in_front_of(Arc::clone(&self.providers), setup)
    }

    /// Starts in front of running providers.
    pub(crate) fn in_front_of(providers: Arc<HashMap<Kind, SimulatedProvider>>, setup: &Setup) -> Self {
        log_to_the_record();
        let (text, secrets) = configuration(setup, &providers);
        let config = config::parse(&text, Path::new("test"), &|name| secrets.get(name).cloned())
            .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let app = App::build(config, setup.clock.unwrap_or(clock::now), || 0).unwrap();
        let (api, ops, hooks, shutdown) = (app.api_addr(), app.ops_addr(), app.hooks_addr(), app.shutdown());
        let running = Some(tokio::spawn(app.run()));
        let client = client().build().unwrap();
        Self { api, ops, hooks, client, providers, shutdown, running }
    }

    /// Starts with the usual configuration.
    pub(crate) async fn usual() -> Self {
        Self::start(Setup::default()).await
    }

    pub(crate) fn provider(&self, kind: Kind) -> &SimulatedProvider {
        &self.providers[&kind]
    }

    /// Sends a GET to the API with [`KEY`].
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    /// Sends a GET to the API with additional headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, Some(KEY), headers).await
    }

    /// Requests the balance of a kind's account.
    pub(crate) async fn balance(&self, kind: Kind) -> Reply {
        self.get(&format!("/v1/accounts/{kind}-demo/balance")).await
    }

    /// Requests the balance of a kind's account with `no-cache`.
    pub(crate) async fn new_balance(&self, kind: Kind) -> Reply {
        self.get_with(&format!("/v1/accounts/{kind}-demo/balance"), &[("cache-control", "no-cache")]).await
    }

    /// Sends any request to the API.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self.request(method, path, key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    /// A request to the API, not yet sent.
    pub(crate) fn request(&self, method: &str, path: &str, key: Option<&str>) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.api));
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Repeats a GET until the answer is `wanted`, and returns it.
    pub(crate) async fn until(&self, path: &str, what: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let end = Instant::now() + PATIENCE;
        loop {
            let reply = self.get(path).await;
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < end, "timed out: {what}, last {reply:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The calls of one operation that a provider has received.
    pub(crate) fn calls(&self, kind: Kind, operation: Operation) -> Vec<Call> {
        let mut calls = self.provider(kind).calls();
        calls.retain(|call| call.operation == operation);
        calls
    }

    /// Sends a GET to the operations port.
    pub(crate) async fn operations(&self, path: &str) -> Reply {
        Reply::read(self.client.get(format!("http://{}{path}", self.ops)).send().await.unwrap()).await
    }

    /// The value of a series, named without the prefix and with its labels in any order; `None` when it is absent.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        // Not recorded: polling would fill the record; tests/api/operations.rs records these pages.
        let page = self.client.get(format!("http://{}/metrics", self.ops)).send().await.unwrap();
        value_of(&page.text().await.unwrap(), &format!("balance_gateway_{series}"))
    }

    /// The value of a counter that must exist.
    pub(crate) async fn count(&self, series: &str) -> u64 {
        let value = self.metric(series).await;
        value.unwrap_or_else(|| panic!("{series} is absent")).to_string().parse().unwrap()
    }

    /// Begins the drain, as a SIGTERM does.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.begin_drain();
    }

    /// Waits for the end of the gateway.
    pub(crate) async fn ended(&mut self) {
        let running = self.running.take().unwrap();
        tokio::time::timeout(PATIENCE, running).await.expect("the gateway ends in time").unwrap();
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
        let tokens = self.providers.values().flat_map(SimulatedProvider::calls).filter_map(|call| {
            call.header("authorization").and_then(|line| line.strip_prefix("Bearer ")).map(str::to_owned)
        });
        record("secrets", &tokens.collect::<Vec<_>>().join("\n"));
    }
}

impl Reply {
    /// Reads the complete answer, and records it.
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.text().await.unwrap();
        record("seen", &format!("{status} {headers:?} {body}"));
        Self { status, headers, body }
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's value, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a complete and consistent problem with this code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:balance-gateway:problem:{code}"));
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let retry_after = body.get("retry_after").map(ToString::to_string).unwrap_or_default();
        assert_eq!(retry_after, self.header("retry-after"), "{self:?}");
        assert!(self.headers.get("etag").is_none());
    }
}

/// The value of a series on a metrics page; the order of its labels does not matter.
pub(crate) fn value_of(page: &str, series: &str) -> Option<f64> {
    let wanted = name_and_labels(series);
    page.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        (name_and_labels(series) == wanted).then(|| value.parse().unwrap())
    })
}

fn name_and_labels(series: &str) -> (&str, BTreeSet<&str>) {
    match series.strip_suffix('}').and_then(|series| series.split_once('{')) {
        Some((name, labels)) => (name, labels.split(',').collect()),
        None => (series, BTreeSet::new()),
    }
}

/// One simulated provider of each kind.
pub(crate) async fn providers() -> HashMap<Kind, SimulatedProvider> {
    let mut providers = HashMap::new();
    for kind in Kind::ALL {
        providers.insert(kind, SimulatedProvider::start(kind).await.unwrap());
    }
    providers
}

/// A client that ignores the environment.
pub(crate) fn client() -> reqwest::ClientBuilder {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

/// Polls until the condition is true.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    eventually_within(PATIENCE, what, condition).await;
}

/// Polls until the condition is true, for at most this long.
pub(crate) async fn eventually_within<F: Future<Output = bool>>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let end = Instant::now() + patience;
    while !condition().await {
        assert!(Instant::now() < end, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The port of 127.0.0.1 on which a program of the Prometheus project says in its log that it listens.
pub(crate) fn listening_port(log: &str) -> Option<u16> {
    let address = log.split_once("msg=\"Listening on\" address=127.0.0.1:")?.1.lines().next()?;
    address.trim().parse().ok()
}

/// SHA-256 of a key, as the configuration keeps it.
pub(crate) fn digest(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The configuration in TOML, and the secrets that it names.
fn configuration(
    setup: &Setup,
    providers: &HashMap<Kind, SimulatedProvider>,
) -> (String, BTreeMap<String, String>) {
    let mut secrets = BTreeMap::new();
    let Setup {
        server,
        freshness,
        provider: provider_lines,
        account,
        caller,
        further,
        has_static_tokens,
        secrets: further_secrets,
        base_urls,
        clock: _,
    } = setup;
    secrets.extend(further_secrets.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let mut text = format!(
        "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n{server}\n[freshness]\n{freshness}\n\
         [callers.all]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n{caller}\n",
        digest(KEY)
    );
    if !caller.contains("limit") {
        text.push_str("limit = { requests = 1000000, per = \"1m\", burst = 1000000 }\n");
    }
    for (kind, provider) in providers {
        let Credentials { client_id, client_secret, token, api_key, session_token } = provider.credentials();
        let all = [
            ("client_id", client_id),
            ("client_secret", client_secret),
            ("token", token),
            ("api_key", api_key),
            ("session_token", session_token),
        ];
        let used: &[&str] = match (kind, has_static_tokens) {
            (Kind::Pluggo, _) => &["api_key", "session_token"],
            (_, true) => &["token"],
            (_, false) => &["client_id", "client_secret"],
        };
        let url = base_urls.get(kind).cloned().unwrap_or_else(|| provider.url());
        write!(text, "[providers.{kind}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n{provider_lines}\n")
            .unwrap();
        write!(text, "[accounts.{kind}-demo]\nprovider = \"{kind}\"\n{account}\n").unwrap();
        for (name, value) in all {
            let variable = format!("{kind}_{name}").replace('-', "_").to_uppercase();
            if used.contains(&name) {
                writeln!(text, "{name} = {{ env = \"{variable}\" }}").unwrap();
            }
            secrets.insert(variable, value);
        }
        if *kind == Kind::Pluggo {
            text.push_str("balances = [{ currency = \"BRL\" }, { currency = \"USD\" }, ");
            text.push_str("{ currency = \"BTC\", type = \"CRYPTO\" }]\n");
        }
    }
    text.push_str(further);
    record("secrets", KEY);
    record("secrets", &secrets.values().cloned().collect::<Vec<_>>().join("\n"));
    (text, secrets)
}

/// The folder of the record, if `tests/run` named one.
fn record_directory() -> Option<PathBuf> {
    std::env::var_os("BALANCE_GATEWAY_TEST_OUTPUT").map(PathBuf::from)
}

fn open_record(name: &str) -> Option<File> {
    let path = record_directory()?.join(name);
    Some(OpenOptions::new().create(true).append(true).open(path).unwrap())
}

/// Adds to the record with a single write, so that lines of parallel tests do not mix.
pub(crate) fn record(name: &str, text: &str) {
    // An empty secret would be found in every line.
    let lines: String = text.lines().filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect();
    if !lines.is_empty()
        && let Some(mut file) = open_record(name)
    {
        file.write_all(lines.as_bytes()).unwrap();
    }
}

/// Logs of all tests of this process go to the record, debug lines too.
fn log_to_the_record() {
    static TELEMETRY: OnceLock<Mutex<Option<Telemetry>>> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let level = tracing::level_filters::LevelFilter::DEBUG;
        let show = std::panic::take_hook();
        let telemetry = open_record("seen").and_then(|file| telemetry::start(level, level, file).ok());
        // With only the logging hook, the output would not say why a test failed.
        let log = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            log(panic);
            show(panic);
        }));
        Mutex::new(telemetry)
    });
}
