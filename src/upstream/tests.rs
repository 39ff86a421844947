//! Reads of one account against simulated providers on real sockets.
//!
//! Timers are real here. Limits are short where a test waits for them to pass, and long everywhere else, so that a
//! busy machine changes no outcome. Where only the clock decides, a test skips the time.

mod bodies;
mod bounds;
mod causes;
mod chance;
mod clock;
mod endings;
mod holds;
mod reconfigured;
mod request;
mod server;
mod tls;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::server::serve;
use super::*;
use crate::domain::{
    AccountName, Answer, BalanceType, Cause, Currency, Failure, MaxAge, ParseError, Priority, ProviderName,
    ReadRequest, Selector, Snapshot, UpstreamError,
};
use crate::metrics::{Metrics, Samples};
use crate::providers;
use crate::providers::{Adapter, Authorisation};
use crate::sandbox::{Fault, FaultKind, Kind, SimulatedProvider};

const SECOND: Duration = Duration::from_secs(1);
/// A time-out that no test waits for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// A time-out that a test waits for.
const SHORT: Duration = Duration::from_millis(150);

/// The setup of one test.
struct Setup {
    settings: ProviderSettings,
    selectors: Vec<Selector>,
    /// Whether it exchanges client credentials for tokens, instead of sending a configured token.
    has_client: bool,
}

impl Setup {
    fn new(kind: Kind) -> Self {
        let settings = ProviderSettings {
            name: ProviderName::parse("p").unwrap(),
            adapter: Adapter::BuiltIn(providers::find(kind.as_str()).unwrap()),
            balance_endpoint: String::new(),
            token_endpoint: String::new(),
            client: ClientSettings { connect_timeout: SHORT, proxy: None, extra_ca: None, identity: None },
            attempt_timeout: LONGEST_WAIT,
            deadline: LONGEST_WAIT,
            retries: 0,
            max_concurrency: 32,
            budget: BudgetSettings { requests: 300, per: SECOND * 60 },
            breaker: BreakerSettings { failures: 100, cooldown: SECOND * 10 },
        };
        Self { settings, selectors: selectors(kind), has_client: false }
    }

    fn with(kind: Kind, change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let mut setup = Self::new(kind);
        change(&mut setup.settings);
        setup
    }

    /// With tokens that the gateway requests itself.
    fn with_client(self) -> Self {
        Self { has_client: true, ..self }
    }

    /// With this many balances, each with its own holds.
    fn with_balances(mut self, count: usize) -> Self {
        self.selectors = vec![self.selectors[0].clone(); count];
        self
    }

    async fn start(self, kind: Kind) -> Account {
        let provider = SimulatedProvider::start(kind).await.unwrap();
        let credentials = provider.credentials();
        let credential = match kind {
            Kind::Pluggo => Credential::Static(Authorisation::Keys {
                api_key: credentials.api_key.into(),
                session_token: credentials.session_token.into(),
            }),
            _ if self.has_client => Credential::Client(ClientCredentials {
                id: credentials.client_id.into(),
                secret: credentials.client_secret.into(),
                certificate: None,
            }),
            Kind::NtxpayBr | Kind::Avista | Kind::NtxpayMx | Kind::Declared => {
                Credential::Static(Authorisation::Bearer(credentials.token.into()))
            }
        };
        let url = provider.url();
        let (metrics, upstream) = self.at(&url, credential);
        Account { provider, metrics, upstream }
    }

    /// The account's upstream for this address.
    fn at(mut self, url: &str, credential: Credential) -> (Metrics, Arc<Upstream>) {
        self.settings.balance_endpoint = format!("{url}/api/balance");
        self.settings.token_endpoint = format!("{url}/api/auth/token");
        let metrics = Metrics::new("0", "test").unwrap();
        let handles = metrics.provider(&self.settings.name);
        let provider = Arc::new(UpstreamProvider::new(self.settings, clock::now, None, handles).unwrap());
        let account = AccountName::parse("a").unwrap();
        let (selectors, max_age) = (self.selectors, MaxAge::CEILING);
        let settings = UpstreamSettings {
            account,
            provider,
            credential,
            selectors,
            max_age,
            shared: None,
            is_enabled: true,
        };
        (metrics, Arc::new(Upstream::new(settings)))
    }
}

fn selectors(kind: Kind) -> Vec<Selector> {
    let of = |currency, r#type| Selector {
        currency: Currency::parse(currency),
        r#type: BalanceType::parse(r#type),
    };
    match kind {
        Kind::NtxpayBr | Kind::Avista | Kind::Declared => vec![Selector::of(Currency::BRL)],
        Kind::NtxpayMx => vec![Selector::of(Currency::MXN)],
        Kind::Pluggo => vec![of("BRL", ""), of("USD", ""), of("BTC", "CRYPTO")],
    }
}

/// An account at a simulated provider of its own.
struct Account {
    provider: SimulatedProvider,
    metrics: Metrics,
    upstream: Arc<Upstream>,
}

impl Account {
    async fn new(kind: Kind) -> Self {
        Setup::new(kind).start(kind).await
    }

    fn queue(&self, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.provider.queue(fault));
    }

    /// One read of the balance with this index on behalf of a caller with a demand.
    async fn read(&self, index: usize) -> Result<Arc<Snapshot>, Failure> {
        self.upstream.read(index, ReadRequest::alone(Priority::Demanded)).await.result
    }

    async fn error(&self, index: usize) -> UpstreamError {
        self.read(index).await.unwrap_err().error
    }

    fn spawn_read(&self, index: usize) -> JoinHandle<Answer> {
        let upstream = Arc::clone(&self.upstream);
        tokio::spawn(async move { upstream.read(index, ReadRequest::alone(Priority::Demanded)).await })
    }

    /// The operation and the answered status of each call, oldest first.
    fn calls(&self) -> Vec<(&'static str, Option<u16>)> {
        let operation = |operation| match operation {
            crate::sandbox::Operation::Balance => "balance",
            crate::sandbox::Operation::Token => "token",
            crate::sandbox::Operation::Other => "other",
        };
        self.provider.calls().into_iter().map(|call| (operation(call.operation), call.status)).collect()
    }

    fn in_flight(&self) -> u64 {
        self.upstream.provider.in_flight()
    }

    fn page(&self) -> String {
        String::from_utf8(self.metrics.render(Samples::default())).unwrap()
    }

    /// The labels and values of a counter that is above zero.
    fn counted(&self, name: &str) -> Vec<String> {
        let prefix = format!("balance_gateway_{name}");
        let page = self.page();
        let lines = page.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.filter(|rest| !rest.ends_with(" 0")).map(str::to_owned).collect()
    }
}

fn status(status: u16) -> FaultKind {
    FaultKind::Status { status, retry_after: None, body: None }
}

fn asking_for_time(status: u16, seconds: &str) -> FaultKind {
    FaultKind::Status { status, retry_after: Some(seconds.to_owned()), body: None }
}

fn header(name: &str, value: &str) -> FaultKind {
    FaultKind::Headers { headers: vec![(name.to_owned(), value.to_owned())] }
}

/// The failure's wait from now, to the nearest second.
#[track_caller]
fn wait_seconds(failure: &Failure) -> u64 {
    let wait = failure.retry_at.unwrap().saturating_duration_since(clock::now().monotonic);
    (wait + SECOND / 2).as_secs()
}

/// Returns when the condition is met.
async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONGEST_WAIT, met).await.expect("the condition is met in time");
}
