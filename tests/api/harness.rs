//! The real gateway on port 0 in front of simulated providers, and a client that reads its answers.

mod record;
mod reply;
mod setup;
mod wait;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use balance_gateway::app::App;
use balance_gateway::sandbox::{Call, Kind, Operation, SimulatedProvider};
use balance_gateway::shutdown::Shutdown;
use balance_gateway::{clock, config};
use tokio::task::JoinHandle;

use record::log_to_the_record;
use setup::configuration;

pub(crate) use record::record;
pub(crate) use reply::Reply;
pub(crate) use setup::{SWITCHED_OFF, Setup, digest};
pub(crate) use wait::{eventually, eventually_within, retry_every, retry_within};

/// Longest wait for a condition in these tests.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The key of a caller that may read every account.
pub(crate) const KEY: &str = "bgk_test-key-of-the-caller-that-sees-all-accounts";

/// Whether this is the long run (`tests/run --long`).
pub(crate) fn is_long() -> bool {
    std::env::var_os("BALANCE_GATEWAY_LONG").is_some()
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
        let ask = || async {
            let reply = self.get(path).await;
            if wanted(&reply) { Ok(reply) } else { Err(reply) }
        };
        let found = retry_within(TEST_TIMEOUT, ask).await;
        found.unwrap_or_else(|last| panic!("timed out: {what}, last {last:?}"))
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
        tokio::time::timeout(TEST_TIMEOUT, running).await.expect("the gateway ends in time").unwrap();
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

/// The port of 127.0.0.1 on which a program of the Prometheus project says in its log that it listens.
pub(crate) fn listening_port(log: &str) -> Option<u16> {
    let address = log.split_once("msg=\"Listening on\" address=127.0.0.1:")?.1.lines().next()?;
    address.trim().parse().ok()
}
