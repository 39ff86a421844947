//! Kinds that the configuration declares, against real sockets: each way to authenticate, hostile bodies, mappings that
//! are corrected while the gateway serves, and figures that lag.

mod authentication;
mod commands;
mod forms;
mod mappings;
mod mutual_tls;
mod whole_answers;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use balance_gateway::sandbox::{
    Call, Fault, FaultKind, Kind, LIFE, Operation, Script, ScriptedRoute, SimulatedProvider, TOKEN, UNTIL,
};

use forms::{Form, ONE_SECRET, base64, forms};

use crate::harness::{KEY, digest, eventually, is_long, record, value_of};
use crate::process::{Folder, Gateway, command, run_on_record};

pub(crate) const ACCOUNT: &str = "/v1/accounts/a/balance";
const BODY: &str = r#"{"balance":48734.91}"#;
const FIRST: &str = "s3cr3t-of-a-declared-kind-8f1c";
const SECOND: &str = "s3cr3t-of-a-declared-kind-77aa";
const CLIENT: &str = "client-of-a-declared-kind-31b0";
/// The mapping of [`BODY`].
const MAPPING: &str = "currency = \"BRL\"\nunits = \"major\"\navailable = \"/balance\"\n";

/// A provider that answers by a script, and the files of a gateway in front of it.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    provider: SimulatedProvider,
    pub(crate) config: String,
}

impl Site {
    /// `kind` has the lines of `[kinds.k]` before its examples; `example` those of its one example, without `body`.
    async fn new(kind: &str, body: &str, example: &str, account: &str) -> Self {
        let (folder, provider) = (Folder::new(), SimulatedProvider::start(Kind::Declared).await.unwrap());
        let body = folder.write("body.json", body);
        let (id, secret) = (folder.write("id", CLIENT), folder.write("secret", FIRST));
        record("secrets", &[FIRST, SECOND, CLIENT, KEY].join("\n"));
        let account = account.replace("ID", &id).replace("SECRET", &secret);
        let text = format!(
            "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
             [kinds.k]\n{kind}\n[[kinds.k.examples]]\nbody = {{ file = \"{body}\" }}\n{example}\n\
             [providers.p]\nkind = \"k\"\nbase_url = \"{}\"\nbudget = {{ requests = 1000000, per = \"1m\" }}\n\
             [accounts.a]\nprovider = \"p\"\n{account}\n\
             [callers.all]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
             limit = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n\
             forced = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n",
            provider.url(),
            digest(KEY)
        );
        let config = folder.write("gateway.toml", &text);
        Self { folder, provider, config }
    }

    pub(crate) async fn serve(&self) -> Gateway {
        Gateway::start(&["serve", "--config", &self.config]).await
    }

    pub(crate) fn calls(&self, operation: Operation) -> Vec<Call> {
        self.provider.calls().into_iter().filter(|call| call.operation == operation).collect()
    }

    /// Replaces a file in one step.
    fn replace(&self, name: &str, text: &str) {
        let written = self.folder.write(&format!("{name}.next"), text);
        fs::rename(written, self.folder.0.join(name)).unwrap();
    }

    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{from}");
        self.replace("gateway.toml", &text.replace(from, to));
    }
}

fn route(
    operation: Operation,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
    answer: &str,
) -> ScriptedRoute {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ScriptedRoute {
        operation,
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.collect(),
        body: body.to_owned(),
        answer: answer.to_owned(),
    }
}

fn script(routes: Vec<ScriptedRoute>) -> Script {
    Script { name: "k".to_owned(), routes }
}

async fn reloads(gateway: &Gateway) -> u64 {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    let results = ["ok", "rejected"].map(|result| {
        let series = format!("balance_gateway_config_reloads_total{{result=\"{result}\"}}");
        value_of(&page, &series).unwrap().to_string().parse::<u64>().unwrap()
    });
    results.iter().sum()
}

async fn reload(gateway: &Gateway) {
    let before = reloads(gateway).await;
    gateway.signal("HUP");
    eventually("the reload is counted", || async { reloads(gateway).await != before }).await;
}

async fn new_balance(gateway: &Gateway) -> crate::harness::Reply {
    gateway.get_with(ACCOUNT, &[("cache-control", "no-cache")]).await
}

/// A provider that reports centavos, and a mapping with the wrong unit for the same digits.
pub(crate) async fn centavos_site() -> Site {
    const BOTH: &str = r#"{"a":4873491,"b":99}"#;
    let kind = "path = \"/b\"\nsecrets = [\"key\"]\nheaders = { x-key = \"{key}\" }\ncurrency = \"BRL\"\n\
                units = { minor = 3 }\navailable = \"/a\"\n";
    let site = Site::new(kind, BOTH, "available = \"4873.491\"", ONE_SECRET).await;
    site.provider.set_script(script(vec![route(
        Operation::Balance,
        "GET",
        "/b",
        &[("x-key", FIRST)],
        "",
        BOTH,
    )]));
    site
}

impl Site {
    /// Corrects the mapping of [`centavos_site`].
    pub(crate) fn correct(&self) {
        let text = fs::read_to_string(&self.config).unwrap();
        let text = text.replace("units = { minor = 3 }", "units = \"minor\"").replace("4873.491", "48734.91");
        self.replace("gateway.toml", &text);
    }
}

/// A kind whose single answer holds every currency.
const WHOLE_KIND: &str = "path = \"/b\"\nsecrets = [\"key\"]\nheaders = { x-key = \"{key}\" }\n\
     rows = \"/rows\"\ncurrency = { at = \"/currency\" }\nunits = \"major\"\navailable = \"/amount\"\n";
const WHOLE_BODY: &str = r#"{"rows":[{"currency":"USD","amount":1.01},{"currency":"BRL","amount":48734.91},{"currency":"EUR","amount":2.02}]}"#;

pub(crate) async fn whole_site(currencies: &str) -> Site {
    let account = format!("{ONE_SECRET}\nbalances = [{currencies}]");
    let example = "currency = \"BRL\"\navailable = \"48734.91\"";
    let site = Site::new(WHOLE_KIND, WHOLE_BODY, example, &account).await;
    let headers = [("x-key", FIRST)];
    site.provider.set_script(script(vec![route(Operation::Balance, "GET", "/b", &headers, "", WHOLE_BODY)]));
    site
}

pub(crate) const THREE: &str = "{ currency = \"BRL\" }, { currency = \"USD\" }, { currency = \"EUR\" }";
