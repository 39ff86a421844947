//! `sandbox`: the gateway in front of five simulated providers, in one process, without files or network.

mod declared;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use super::{new_key, serve};
use crate::app::App;
use crate::clock;
use crate::config::{self, Config};
use crate::sandbox::{Credentials, Kind, SimulatedProvider, WEBHOOK_USER, Webhook};
use crate::shutdown::Signals;
use crate::telemetry;
use declared::DeclaredProvider;

#[derive(Debug, clap::Args)]
pub(super) struct SandboxArguments {
    /// Where callers connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    api: SocketAddr,
    /// Where probes and Prometheus connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    ops: SocketAddr,
    /// The caller key; a new one by default.
    #[arg(long)]
    key: Option<String>,
    /// Younger balances are served without a refresh.
    #[arg(long, value_name = "DUR", default_value = "10s")]
    fresh_for: String,
    /// A file with one `[kinds.NAME]`, to simulate its provider by its examples; a sample when left out.
    #[arg(long, value_name = "FILE")]
    kind: Option<PathBuf>,
    /// Print one line of JSON instead of text for people.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &SandboxArguments) -> ExitCode {
    // Standard output is for the printed lines; the log goes to standard error.
    let telemetry = match telemetry::start(LevelFilter::WARN, LevelFilter::WARN, std::io::stderr()) {
        Ok(telemetry) => telemetry,
        Err(error) => return super::report_error(&error),
    };
    let dropped = telemetry.dropped_lines();
    super::block_on(serve_sandbox(arguments, dropped)).unwrap_or_else(|error| super::report_error(&error))
}

async fn serve_sandbox(
    arguments: &SandboxArguments,
    dropped: impl Fn() -> u64 + Send + Sync + 'static,
) -> ExitCode {
    let key = match arguments.key.clone().map_or_else(new_key::fresh, Ok) {
        Ok(key) => key,
        Err(error) => return super::report_error(&error),
    };
    let mut providers = Vec::new();
    for kind in Kind::ALL {
        match SimulatedProvider::start(kind).await {
            Ok(provider) => {
                provider.set_drift(true);
                providers.push(provider);
            }
            Err(error) => return super::report_error(&error),
        }
    }
    let notifications = match new_key::fresh() {
        Ok(secret) => secret,
        Err(error) => return super::report_error(&error),
    };
    let declared = match declared::start(arguments.kind.as_deref()).await {
        Ok(declared) => declared,
        Err(error) if error.is_configuration() => {
            super::print_error_line(&error.to_string());
            return ExitCode::from(2);
        }
        Err(error) => return super::report_error(&error),
    };
    let config = configuration(arguments, &key, &notifications, &providers, &declared);
    providers.push(declared.provider);
    let config = match config {
        Ok(config) => config,
        Err(errors) => {
            super::print_error_line(&errors.to_string());
            return ExitCode::from(2);
        }
    };
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return super::report_error(&error),
    };
    let app = match App::build(config, clock::now, dropped) {
        Ok(app) => app,
        Err(error) => return super::report_error(&error),
    };
    send_notifications(&app, &notifications, &providers);
    let text = if arguments.json {
        format!("{}\n", as_json(&app, &key, &providers))
    } else {
        for_people(&app, &key, &providers)
    };
    super::print(&text);
    serve::until_second_signal(app, &mut signals).await;
    ExitCode::SUCCESS
}

/// An ordinary configuration with the addresses and secrets of the simulated providers.
fn configuration(
    arguments: &SandboxArguments,
    key: &str,
    notifications: &str,
    providers: &[SimulatedProvider],
    declared: &DeclaredProvider,
) -> Result<Config, config::ConfigErrors> {
    let mut secrets = declared.variables.clone();
    let mut text = format!(
        "[server]\napi = \"{}\"\nops = \"{}\"\nhooks = \"127.0.0.1:0\"\ndrain_delay = \"0s\"\n[freshness]\nfresh_for = \"{}\"\n\
         [log]\nlevel = \"warn\"\n",
        arguments.api,
        arguments.ops,
        arguments.fresh_for.escape_default()
    );
    for provider in providers {
        let (kind, url) = (provider.kind(), provider.url());
        let Credentials { client_id, client_secret, api_key, session_token, .. } = provider.credentials();
        let mut secret = |name: &str, value: String| {
            let variable = format!("{kind}_{name}").replace('-', "_").to_uppercase();
            secrets.insert(variable.clone(), value);
            format!("{name} = {{ env = \"{variable}\" }}\n")
        };
        let credentials = if kind == Kind::Pluggo {
            let balances = "balances = [{ currency = \"BRL\" }, { currency = \"USD\" }, \
                            { currency = \"BTC\", type = \"CRYPTO\" }]\n";
            secret("api_key", api_key) + &secret("session_token", session_token) + balances
        } else {
            secret("client_id", client_id) + &secret("client_secret", client_secret)
        };
        let hook = hook(kind, secret("hook", notifications.to_owned()).trim_start_matches("hook = "));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{hook}[providers.{kind}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n\
             [accounts.{kind}-demo]\nprovider = \"{kind}\"\n{credentials}"
        );
    }
    text.push_str(&declared.configuration);
    let _ = write!(
        text,
        "[callers.demo]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
         limit = {{ requests = 60000, per = \"1m\", burst = 10000 }}\n",
        new_key::digest(key)
    );
    config::parse(&text, Path::new("sandbox"), &|variable| secrets.get(variable).cloned())
}

/// The hook of a kind, with the proof of its notifications; empty for a kind without notifications. Simulated balances
/// show a change at once, so `settle` is zero.
fn hook(kind: Kind, secret: &str) -> String {
    let proof = match kind {
        Kind::Pluggo | Kind::Declared => return String::new(),
        Kind::NtxpayMx => format!(
            "hmac = {{ header = \"X-NTXPay-Signature\", prefix = \"sha256=\", secret = {} }}\n\
             event_id = \"x-event-id\"\n",
            secret.trim_end()
        ),
        Kind::NtxpayBr | Kind::Avista => {
            format!("basic = {{ user = \"{WEBHOOK_USER}\", password = {} }}\n", secret.trim_end())
        }
    };
    format!("[hooks.{kind}]\naccounts = [\"{kind}-demo\"]\n{proof}settle = \"0s\"\n")
}

/// Lets the simulated providers send notifications to the gateway.
fn send_notifications(app: &App, secret: &str, providers: &[SimulatedProvider]) {
    let Some(address) = app.hooks_addr() else { return };
    let has_notifications = |kind| !matches!(kind, Kind::Pluggo | Kind::Declared);
    for provider in providers.iter().filter(|provider| has_notifications(provider.kind())) {
        let path = format!("/hooks/{}", provider.kind());
        provider.notify(Webhook { address, path, secret: secret.to_owned() });
    }
}

fn as_json(app: &App, key: &str, providers: &[SimulatedProvider]) -> serde_json::Value {
    let urls: BTreeMap<_, _> =
        providers.iter().map(|provider| (provider.kind_name(), provider.url())).collect();
    serde_json::json!({
        "api": app.api_addr().to_string(),
        "ops": app.ops_addr().to_string(),
        "key": key,
        "providers": urls,
    })
}

fn for_people(app: &App, key: &str, providers: &[SimulatedProvider]) -> String {
    let (api, ops) = (app.api_addr(), app.ops_addr());
    let mut text = format!("The gateway answers on http://{api}, in front of five simulated providers.\n\n");
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{words}");
    };
    line(format_args!("Dashboard    http://{api}/dashboard"));
    line(format_args!("API          http://{api}/docs"));
    line(format_args!("Caller key   {key}"));
    for provider in providers {
        line(format_args!(
            "{:12} {} (account {}-demo)",
            provider.kind_name(),
            provider.url(),
            provider.kind_name()
        ));
    }
    line(format_args!("\nOne balance of each account:"));
    for provider in providers {
        let account = format!("{}-demo", provider.kind_name());
        line(format_args!(
            "  curl -s -H 'Authorization: Bearer {key}' http://{api}/v1/accounts/{account}/balance"
        ));
    }
    line(format_args!("\nAll balances, the metrics, the state:"));
    line(format_args!("  curl -s -H 'Authorization: Bearer {key}' http://{api}/v1/balances"));
    line(format_args!("  {} balances --url http://{api} --key {key}", program()));
    line(format_args!("  curl -s http://{ops}/metrics"));
    line(format_args!("  curl -s http://{ops}/status"));
    line(format_args!("\nMake a provider fail twice, then read its balance again:"));
    if let Some(provider) = providers.first() {
        let url = provider.url();
        let fault = r#"{"on":"balance","times":2,"kind":"status","status":503}"#;
        line(format_args!("  curl -s {url}/_sandbox/faults -d '{fault}'"));
        line(format_args!(
            "  curl -si -H 'Authorization: Bearer {key}' -H 'Cache-Control: no-cache' \
             http://{api}/v1/accounts/{}-demo/balance",
            provider.kind()
        ));
    }
    line(format_args!("\nPress Ctrl-C to stop."));
    text
}

/// The path of this program, which works from every folder, also when it is not on the `PATH`.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "balance-gateway".to_owned(), |path| path.display().to_string())
}
