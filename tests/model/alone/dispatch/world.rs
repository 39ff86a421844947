//! The API that ships, over a provider in memory, and its reload.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::connection::{self, connect, exchange};
use super::log::{Given, Log, What};
use super::provider::{Provider, base_url};
use super::schedule::{AccountState, Ask, CallerState, Setting};
use crate::alone::clock::{self, CLOCKS, Ms};
use balance_gateway::auth::ServiceAccounts;
use balance_gateway::cache::BalanceCache;
use balance_gateway::config::{self, Config};
use balance_gateway::gateway::{Account, Gateway};
use balance_gateway::http::{Api, ApiParts, ApiService, api_service};
use balance_gateway::limits::Limiter;
use balance_gateway::live::Live;
use balance_gateway::metrics::Metrics;
use balance_gateway::shutdown::Shutdown;
use balance_gateway::upstream::{Upstream, UpstreamProvider, UpstreamSettings};

const KEY: &str = "bgk_model";

pub(super) struct World {
    pub(super) log: Arc<Log>,
    live: Live<Api>,
    service: ApiService,
    cache: BalanceCache,
    metrics: Arc<Metrics>,
    provider: Arc<Provider>,
}

impl World {
    pub(super) fn new(first: Setting, replies: Vec<Ms>) -> Self {
        let (log, metrics) = (Arc::new(Log::default()), Arc::new(Metrics::new("", "").unwrap()));
        let provider = Arc::new(Provider::new(Arc::clone(&log), replies));
        let (config, cache) = (configuration(first), BalanceCache::new(CLOCKS[0]));
        let upstream_provider = upstream_provider(&config, &provider, &metrics);
        let account = |settings: UpstreamSettings| Arc::new(Upstream::new(settings));
        let accounts = accounts(&config, &upstream_provider, account);
        let gateway = Gateway::new(accounts, vec![upstream_provider], cache.clone(), CLOCKS[0]);
        let service_accounts = ServiceAccounts::new(Arc::clone(&metrics));
        let limiter = Limiter::default();
        let parts = parts(Arc::new(gateway), &config, &limiter);
        let live = Live::new(Api::new(service_accounts, Arc::clone(&metrics), Shutdown::default(), parts));
        Self { log, service: api_service(&live), live, cache, metrics, provider }
    }

    /// Replaces the configuration, as the reload of the application does.
    pub(super) async fn reload(&self, setting: Setting) {
        let config = configuration(setting);
        let api = self.live.current();
        let before = api.gateway();
        let upstream_provider = upstream_provider(&config, &self.provider, &self.metrics);
        let identity_of = |settings: &UpstreamSettings| {
            let named = config.accounts.iter().find(|account| account.settings.name == settings.account);
            &named.unwrap().settings
        };
        let account = |settings: UpstreamSettings| match before.account(settings.account.as_str()) {
            Some(old) => {
                let keeps_identity = old.has_identity_of(identity_of(&settings));
                old.upstream().reconfigured(settings, keeps_identity)
            }
            None => Arc::new(Upstream::new(settings)),
        };
        let accounts = accounts(&config, &upstream_provider, account);
        let next = before.reconfigured(accounts, vec![upstream_provider], self.cache.clone());
        for account in &config.accounts {
            let old = before.account(account.settings.name.as_str());
            if old.is_some_and(|old| !old.has_identity_of(&account.settings)) {
                next.forget_balances(&account.settings.name).await;
            }
        }
        self.live.replace(api.reconfigured(parts(Arc::new(next), &config, &Limiter::default())));
        self.log.write(What::Reloaded(setting));
        api.retire();
    }

    /// Sends one request and notes its answer.
    pub(super) async fn ask(self: Arc<Self>, request: usize, ask: Ask) {
        self.log.write(What::Arrived { request, ask });
        let directive = if ask.is_new { "cache-control: no-cache\r\n" } else { "" };
        let (length, begun) = if ask.body.is_some() { ("content-length: 4\r\n", "bo") } else { ("", "") };
        let head = format!(
            "GET /v1/accounts/a/balance HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n{directive}{length}\r\n{begun}"
        );
        let rest = async {
            let Some(takes) = ask.body else { return "" };
            clock::sleep(takes).await;
            self.log.write(What::Sent { request });
            "dy"
        };
        let answer = exchange(connect(&self.service), &head, rest).await;
        let given = match answer.status {
            200 => Given::Balance {
                amount: answer.body["available"].as_str().unwrap().to_owned(),
                age: connection::field(&answer.head, "age").unwrap().parse().unwrap(),
            },
            _ => Given::Problem(answer.body["code"].as_str().unwrap().to_owned()),
        };
        self.log.write(What::Answered { request, given });
    }
}

fn configuration(setting: Setting) -> Config {
    let account = if setting.account == AccountState::Absent { "other" } else { "a" };
    let is_enabled = setting.account != AccountState::Off;
    let seen = if setting.caller == CallerState::SeesOther { "other" } else { "a" };
    let key = if setting.caller == CallerState::Unknown { "bgk_another" } else { KEY };
    let digest = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let base_url = base_url(setting.address);
    let text = format!(
        r#"
[server]
request_timeout = "60s"
drain_timeout = "60s"
[providers.p]
kind = "ntxpay-br"
base_url = "{base_url}"
[accounts.{account}]
provider = "p"
enabled = {is_enabled}
token = {{ env = "TOKEN" }}
[callers.c]
keys_sha256 = ["{digest}"]
accounts = ["{seen}"]
limit = {{ requests = 1000000, per = "1m", burst = 1000000 }}
"#
    );
    let secret = |_: &str| Some("token".to_owned());
    config::parse(&text, Path::new("model"), &secret).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn upstream_provider(config: &Config, provider: &Arc<Provider>, metrics: &Metrics) -> Arc<UpstreamProvider> {
    let settings = config.providers[0].settings.clone();
    let handles = metrics.provider(&settings.name);
    Arc::new(UpstreamProvider::over(Arc::clone(provider) as _, CLOCKS[0], settings, None, handles))
}

fn accounts(
    config: &Config,
    provider: &Arc<UpstreamProvider>,
    upstream: impl Fn(UpstreamSettings) -> Arc<Upstream>,
) -> Vec<Account> {
    let account = |account: &config::AccountConfig| {
        let settings = account.settings.clone();
        let upstream = upstream(UpstreamSettings {
            account: settings.name.clone(),
            provider: Arc::clone(provider),
            credential: account.credential.clone(),
            selectors: settings.balances.iter().map(|balance| balance.selector.clone()).collect(),
            max_age: settings.limits.max_age,
            shared: None,
            is_enabled: settings.is_enabled,
        });
        Account::new(settings, upstream)
    };
    config.accounts.iter().map(account).collect()
}

fn parts<'a>(gateway: Arc<Gateway>, config: &'a Config, limiter: &'a Limiter) -> ApiParts<'a> {
    ApiParts {
        gateway,
        callers: config.callers.clone(),
        hooks: Vec::new(),
        server: &config.server,
        limiter,
        tracer: None,
    }
}
