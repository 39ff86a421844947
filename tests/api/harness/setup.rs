//! The configuration of a gateway under test.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use balance_gateway::domain::Moment;
use balance_gateway::sandbox::{Credentials, Kind, SimulatedProvider};
use sha2::{Digest, Sha256};

use super::KEY;
use super::record::record;

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

/// The configuration in TOML, and the secrets that it names.
pub(super) fn configuration(
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

/// SHA-256 of a key, as the configuration keeps it.
pub(crate) fn digest(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
