//! `[providers.NAME]`: the address of a provider, and how it is called.

use std::num::NonZeroU32;
use std::time::Duration;

use super::freshness::Freshness;
use super::kinds::Kinds;
use super::server::Server;
use crate::config::reader::{Read, Reported, Section, Setting, Value, quoted};
use crate::config::values::{Authority, BaseUrl, Identity, Proxy, Replicas, UrlPath, duration};
use crate::domain::{Limits, ProviderName};
use crate::providers::{self, Adapter, Provider};
use crate::upstream::{BreakerSettings, BudgetSettings, ClientSettings, ProviderSettings};

/// Time that a caller's request needs in addition to two reads.
const MARGIN: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_mins(1);
const CONCURRENCY: NonZeroU32 = NonZeroU32::MIN.saturating_add(31);
const BREAKER: BreakerSettings = BreakerSettings { failures: 5, cooldown: Duration::from_secs(10) };

/// One provider, with settings that its accounts inherit.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// How it is called.
    pub settings: ProviderSettings,
    /// The freshness limits of its balances.
    pub limits: Limits,
    /// False when it is disabled.
    pub is_enabled: bool,
    /// The base URL without a slash at the end; part of its accounts' identity.
    pub base_url: String,
    /// The path of its balances below the base URL; part of its accounts' identity.
    pub balance_path: String,
}

/// A partly read provider, so that its accounts can be checked even if it has mistakes.
pub(super) struct PartlyReadProvider<'a> {
    pub(in crate::config) name: &'a str,
    pub(super) adapter: Read<Adapter>,
    pub(in crate::config) config: Read<ProviderConfig>,
}

/// The name of a kind.
struct KindName(String);

impl Setting for KindName {
    const EXPECTED: &'static str = "the name of a kind of provider";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Some(Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// Finds the built-in or declared kind of a provider.
fn read_kind(section: &mut Section<'_>, kinds: &Kinds<'_>) -> Read<Adapter> {
    let KindName(name) = section.required("kind")?;
    if let Some(built_in) = providers::find(&name) {
        return Ok(Adapter::BuiltIn(built_in));
    }
    if let Some(kind) = kinds.find(&name) {
        return kind.clone().map(Adapter::Declared);
    }
    let known: Vec<&str> = providers::REGISTRY.into_iter().map(Provider::kind).chain(kinds.names()).collect();
    Err(section.expected("kind", &format!("one of {}", known.join(", "))))
}

pub(super) fn read_all<'a>(
    tables: Vec<(&'a str, Section<'_>)>,
    server: &Server,
    freshness: Freshness,
    kinds: &Kinds<'_>,
) -> Vec<PartlyReadProvider<'a>> {
    let read = |(name, mut section): (&'a str, Section<'_>)| {
        let adapter = read_kind(&mut section, kinds);
        let config = read(name, adapter.as_ref(), &mut section, server, freshness);
        section.close_and_record();
        PartlyReadProvider { name, adapter, config }
    };
    tables.into_iter().map(read).collect()
}

fn read(
    name: &str,
    adapter: Result<&Adapter, &Reported>,
    section: &mut Section<'_>,
    server: &Server,
    freshness: Freshness,
) -> Read<ProviderConfig> {
    let name = ProviderName::parse(name).map_err(|error| section.wrong("", &error.to_string()));
    let base_url = match adapter.map(|adapter| adapter.default_base_url()) {
        Ok(Some(default)) => section.or("base_url", BaseUrl(default.to_owned())),
        Ok(None) => section.required("base_url"),
        Err(Reported) => section.optional::<BaseUrl>("base_url").and(Err(Reported)),
    };
    let (balance_path, token_path) = read_paths(section, adapter);
    let times = read_times(section, server.request_timeout);
    let retries = section.or("retries", 1);
    let max_concurrency = section.or("max_concurrency", CONCURRENCY);
    let budget = read_budget(section, adapter, server.replicas);
    let breaker = section.or("breaker", BREAKER);
    let limits = freshness.overridden(section);
    let is_enabled = section.or("enabled", true);
    let proxy: Read<Option<Proxy>> = section.optional("proxy");
    let extra_ca: Read<Option<Authority>> = section.optional("extra_ca");
    let identity: Read<Option<Identity>> = section.optional("client_identity");
    if let (Ok(times), Ok(limits)) = (times, limits)
        && times.deadline >= limits.max_age.get()
    {
        section.warn("deadline", "not below max_age: the balance of a slow read could no longer be served");
    }

    let (times, base_url, UrlPath(balance_path)) = (times?, base_url?.0, balance_path?);
    let client = ClientSettings {
        connect_timeout: times.connect,
        proxy: proxy?.map(|proxy| proxy.0),
        extra_ca: extra_ca?.map(|authority| authority.pem),
        identity: identity?.map(Identity::into_pem),
    };
    if section.is_at_start()
        && section.reads_sources()
        && let Err(error) = client.check_identity()
    {
        section.wrong(
            "client_identity",
            &format!("expected a certificate and its own private key, but: {error}"),
        );
    }
    let settings = ProviderSettings {
        name: name?,
        adapter: adapter.map_err(|reported| *reported)?.clone(),
        balance_endpoint: [&*base_url, &balance_path].concat(),
        token_endpoint: [&*base_url, &token_path?.0].concat(),
        client,
        attempt_timeout: times.attempt,
        deadline: times.deadline,
        retries: retries?,
        max_concurrency: max_concurrency?.get(),
        budget: budget?,
        breaker: breaker?,
    };
    Ok(ProviderConfig { settings, limits: limits?, is_enabled: is_enabled?, base_url, balance_path })
}

/// Reads the paths of a built-in kind. A declared kind has its own paths.
fn read_paths(
    section: &mut Section<'_>,
    adapter: Result<&Adapter, &Reported>,
) -> (Read<UrlPath>, Read<UrlPath>) {
    let Ok(Adapter::Declared(kind)) = adapter else {
        let balance_path = section.or("balance_path", UrlPath("/api/balance".to_owned()));
        let token_path = section.or("token_path", UrlPath("/api/auth/token".to_owned()));
        return (balance_path, token_path);
    };
    let mut no_path = |key: &'static str, place: &str| match section.value(key) {
        Some(value) => {
            let kind = kind.kind();
            Err(value.wrong(&format!("not for the kind {kind}, expected {place} in [kinds.{kind}]")))
        }
        None => Ok(UrlPath(String::new())),
    };
    (no_path("balance_path", "path"), no_path("token_path", "token"))
}

#[derive(Clone, Copy)]
struct Times {
    connect: Duration,
    attempt: Duration,
    deadline: Duration,
}

/// Reads the three time-outs. Each must fit into the next, and two reads into a caller's request.
fn read_times(section: &mut Section<'_>, request_timeout: Read<Duration>) -> Read<Times> {
    let connect = section.or("connect_timeout", Duration::from_secs(1));
    let attempt = section.or("attempt_timeout", Duration::from_millis(2500));
    let deadline = section.or("deadline", Duration::from_secs(4));
    section.at_most("connect_timeout", connect, "attempt_timeout", attempt);
    section.at_most("attempt_timeout", attempt, "deadline", deadline);
    if let (Ok(deadline), Ok(request_timeout)) = (deadline, request_timeout)
        && deadline * 2 + MARGIN > request_timeout
    {
        let (margin, bound) = (duration::format(MARGIN), duration::format(request_timeout));
        let expected = format!(
            "expected 2 × {} + {margin} to be at most server.request_timeout ({bound})",
            duration::format(deadline)
        );
        section.wrong("deadline", &expected);
    }
    Ok(Times { connect: connect?, attempt: attempt?, deadline: deadline? })
}

fn read_budget(
    section: &mut Section<'_>,
    adapter: Result<&Adapter, &Reported>,
    replicas: Read<Replicas>,
) -> Read<BudgetSettings> {
    let adapter = adapter.map_err(|reported| *reported);
    let whole = match adapter.map(|adapter| adapter.default_budget_per_minute()) {
        Ok(Some(requests)) => section.or("budget", BudgetSettings { requests, per: MINUTE })?,
        Ok(None) => section.required("budget")?,
        Err(Reported) => section.optional::<BudgetSettings>("budget").and(Err(Reported))?,
    };
    Ok(section.share("budget", whole, replicas?))
}
