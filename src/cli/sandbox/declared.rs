//! The fifth provider of the sandbox. Its kind is declared, in a file or in the built-in sample.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, KindFile};
use crate::domain::{BalanceType, Currency, Selector};
use crate::providers::declared::{AccountValues, Declared, TokenLife};
use crate::providers::{Authorisation, Provider as _, RequestError};
use crate::sandbox::{Kind, LIFE, Operation, Script, ScriptedRoute, SimulatedProvider, TOKEN, UNTIL};

/// A sample kind that uses most keys of a declaration.
const SAMPLE: &str = include_str!("sample.toml");
/// A recorded body of the sample kind.
const SAMPLE_BODY: &str = include_str!("sample.json");
/// The variable under which the sample names its body.
const SAMPLE_VARIABLE: &str = "SAMPLE_BODY";
/// The value of every parameter.
const PARAMETER: &str = "demo";
/// The type of every balance, if the kind's path needs one.
const TYPE: &str = "DEMO";

/// A running provider of a declared kind, and the gateway's configuration for it.
pub(super) struct DeclaredProvider {
    pub(super) provider: SimulatedProvider,
    /// The kind, its provider and its account.
    pub(super) configuration: String,
    /// The variables that the configuration names.
    pub(super) variables: BTreeMap<String, String>,
}

/// Why the provider cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The declaration has mistakes.
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    /// The provider cannot be started.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Its requests cannot be built.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl StartError {
    /// Whether the file is at fault, not this machine.
    pub(super) fn is_configuration(&self) -> bool {
        matches!(self, Self::Config(_) | Self::File(..))
    }
}

/// Starts the provider of the kind in `file`, or of the sample.
pub(super) async fn start(file: Option<&Path>) -> Result<DeclaredProvider, StartError> {
    let (text, path) = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            (text.map_err(|error| StartError::File(file.display().to_string(), error))?, file)
        }
        None => (SAMPLE.to_owned(), Path::new("sample")),
    };
    let sample_body = |name: &str| (name == SAMPLE_VARIABLE).then(|| SAMPLE_BODY.to_owned());
    let KindFile { kind, bodies } = config::parse_kind(&text, path, &sample_body)?;
    let (values, mut variables) = values(&kind);
    let bodies = answerable(&kind, &values, bodies)?;
    variables.insert(SAMPLE_VARIABLE.to_owned(), SAMPLE_BODY.to_owned());
    let provider = SimulatedProvider::start(Kind::Declared).await?;
    provider.set_script(script(&kind, &values, &bodies)?);
    let configuration = text + &sections(&kind, &bodies, &provider.url());
    Ok(DeclaredProvider { provider, configuration, variables })
}

/// Random secrets and the parameters of the account, and the variables that hold the secrets.
fn values(kind: &Declared) -> (Arc<AccountValues>, BTreeMap<String, String>) {
    let (mut values, mut variables) = (AccountValues::default(), BTreeMap::new());
    for name in &kind.declaration().secrets {
        let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
        values.set_secret(name, random.clone().into());
        variables.insert(variable(kind, name), random);
    }
    for name in &kind.declaration().parameters {
        values.set_parameter(name, PARAMETER.to_owned());
    }
    (Arc::new(values), variables)
}

fn variable(kind: &Declared, name: &str) -> String {
    format!("{}_{name}", kind.kind()).replace('-', "_").to_uppercase()
}

/// The provider's answers: each body for its balance's request, and a token if the kind exchanges one.
fn script(
    kind: &Declared,
    values: &Arc<AccountValues>,
    bodies: &[(Currency, String)],
) -> Result<Script, RequestError> {
    let mut routes = Vec::new();
    for (currency, body) in bodies {
        routes.push(balance_route(kind, values, *currency, body.clone())?);
    }
    if kind.has_token() {
        let request = kind.token_request("http://sandbox", values)?;
        routes.push(route(Operation::Token, &request, token_answer(kind)));
    }
    Ok(Script { name: kind.kind().to_owned(), routes })
}

/// The bodies that one provider can answer with. If two bodies belong to the same request, only the first is kept.
fn answerable(
    kind: &Declared,
    values: &Arc<AccountValues>,
    bodies: Vec<(Currency, String)>,
) -> Result<Vec<(Currency, String)>, RequestError> {
    let mut kept: Vec<(ScriptedRoute, Currency)> = Vec::new();
    for (currency, body) in bodies {
        let route = balance_route(kind, values, currency, body)?;
        let is_other = |(known, _): &(ScriptedRoute, Currency)| {
            known.answer == route.answer
                || ScriptedRoute { answer: route.answer.clone(), ..known.clone() } != route
        };
        if kept.iter().all(is_other) {
            kept.push((route, currency));
        }
    }
    Ok(kept.into_iter().map(|(route, currency)| (currency, route.answer)).collect())
}

/// The request for the balance of this currency, and its answer.
fn balance_route(
    kind: &Declared,
    values: &Arc<AccountValues>,
    currency: Currency,
    body: String,
) -> Result<ScriptedRoute, RequestError> {
    let token = kind.has_token().then(|| TOKEN.into());
    let authorisation = Authorisation::Declared { values: Arc::clone(values), token };
    let request = kind.request("http://sandbox", &selector(kind, currency), &authorisation)?;
    Ok(route(Operation::Balance, &request, body))
}

fn selector(kind: &Declared, currency: Currency) -> Selector {
    let r#type = kind.needs_type().then(|| BalanceType::parse(TYPE)).flatten();
    Selector { currency: Some(currency), r#type }
}

fn route(operation: Operation, request: &http::Request<Vec<u8>>, answer: String) -> ScriptedRoute {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    ScriptedRoute {
        operation,
        method: request.method().to_string(),
        target: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: headers.collect(),
        body: text(request.body()),
        answer,
    }
}

/// The answer of the token endpoint, with the token where the kind looks for it.
fn token_answer(kind: &Declared) -> String {
    let mut answer = serde_json::Value::Null;
    if let Some(token) = &kind.declaration().token {
        put(&mut answer, token.at.tokens(), TOKEN);
        match &token.life {
            TokenLife::Seconds(at) => put(&mut answer, at.tokens(), LIFE.trim_matches('"')),
            TokenLife::Until(at) => put(&mut answer, at.tokens(), UNTIL),
            TokenLife::Fixed(_) => {}
        }
        if token.is_bearer {
            put(&mut answer, &["token_type".to_owned()], "Bearer");
        }
    }
    answer.to_string()
}

fn put(value: &mut serde_json::Value, path: &[String], text: &str) {
    match path.split_first() {
        Some((name, rest)) => put(&mut value[name], rest, text),
        None => *value = text.into(),
    }
}

/// The configuration's sections for the provider and the account.
fn sections(kind: &Declared, bodies: &[(Currency, String)], url: &str) -> String {
    let name = kind.kind();
    let secrets = kind.declaration().secrets.iter();
    let secrets = secrets.map(|secret| format!("{secret} = {{ env = \"{}\" }}", variable(kind, secret)));
    let secrets: Vec<String> = secrets.collect();
    let parameters = kind.declaration().parameters.iter();
    let parameters: Vec<String> =
        parameters.map(|parameter| format!("{parameter} = \"{PARAMETER}\"")).collect();
    let mut text = format!(
        "\n[providers.{name}]\nkind = \"{name}\"\nbase_url = \"{url}\"\nbudget = {{ requests = 300, per = \"1m\" }}\n\
         [accounts.{name}-demo]\nprovider = \"{name}\"\n"
    );
    // Writing to a string cannot fail.
    for (key, entries) in [("secrets", secrets), ("parameters", parameters)] {
        if !entries.is_empty() {
            let _ = writeln!(text, "{key} = {{ {} }}", entries.join(", "));
        }
    }
    if kind.only_currency().is_none() {
        let _ = writeln!(text, "balances = [{}]", balances(kind, bodies).join(", "));
    }
    text
}

/// The balances of the account: each currency of the examples once.
fn balances(kind: &Declared, bodies: &[(Currency, String)]) -> Vec<String> {
    let r#type = if kind.needs_type() { format!(", type = \"{TYPE}\"") } else { String::new() };
    let mut balances = Vec::new();
    for (currency, _) in bodies {
        let balance = format!("{{ currency = \"{currency}\"{type} }}");
        if !balances.contains(&balance) {
            balances.push(balance);
        }
    }
    balances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_shipped_kind_can_be_simulated() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = |name: &str| {
            let text = std::fs::read_to_string(folder.join(format!("config/kinds/{name}.toml"))).unwrap();
            text.replace("\"config/kinds/", &format!("\"{}/config/kinds/", folder.display()))
        };
        for name in ["asaas", "efi", "stripe", "paypal", "wise", "xendit"] {
            let file = std::env::temp_dir().join(format!("sandbox-{}-{name}.toml", std::process::id()));
            std::fs::write(&file, text(name)).unwrap();

            let declared = start(Some(&file)).await.unwrap();

            assert_eq!(declared.provider.kind_name(), name);
            assert!(declared.configuration.contains(&format!("[accounts.{name}-demo]")), "{name}");
            std::fs::remove_file(file).unwrap();
        }
    }

    #[tokio::test]
    async fn of_two_bodies_for_the_same_request_the_first_is_simulated() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(folder.join("config/kinds/fintoc.toml")).unwrap();
        let text = text.replace("\"config/kinds/", &format!("\"{}/config/kinds/", folder.display()));
        let file = std::env::temp_dir().join(format!("sandbox-{}-fintoc.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();

        let declared = start(Some(&file)).await.unwrap();

        std::fs::remove_file(file).unwrap();
        assert!(declared.configuration.contains("balances = [{ currency = \"CLP\" }]"), "USD has no answer");
    }

    #[tokio::test]
    async fn the_built_in_sample_can_be_simulated() {
        let declared = start(None).await.unwrap();

        assert_eq!(declared.provider.kind_name(), "sample");
    }
}
