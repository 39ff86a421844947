//! `config/gateway.toml`: complete, correct, and ready to run.

use std::path::Path;

use super::{Folder, certificate};
use crate::config::{Config, ConfigErrors, parse};

const EXAMPLE: &str = include_str!("../../../config/gateway.toml");

/// A body that the declared kind of the example reads.
const EXAMPLE_BODY: &str = r#"{"status": "ok", "code": 200, "time": "2026-11-21T07:00:00Z", "balances": [
    {"currency": "USD", "type": "main"},
    {"currency": "CLP", "type": "main", "available": 4873491, "held": 125000, "frozen": 37, "reserved": 3304,
     "processing": 1205, "total": 5003037, "limit": 1},
    {"currency": "CLP", "type": "savings"}]}"#;

fn read(text: &str) -> Result<Config, ConfigErrors> {
    parse(text, Path::new("config/gateway.toml"), &|name| (name == "NTXPAY_TOKEN").then(|| "t".to_owned()))
}

/// The example with its commented lines switched on and its files in this folder.
fn uncommented(folder: &Folder) -> String {
    let (certificate, key) = certificate();
    for name in ["ca.pem", "client.pem", "ntxpay/client.pem", "tls.crt"] {
        folder.file(name, &certificate);
    }
    for name in ["client.key", "tls.key"] {
        folder.file(name, &key);
    }
    folder.file("jwks.json", super::JWKS);
    for name in ["ntxpay/client_id", "ntxpay/client_secret", "pluggo/api_key", "pluggo/session_token"] {
        folder.file(name, name);
    }
    for name in ["hooks/ntxpay-mx", "hooks/ntxpay-br", "hooks/asaas"] {
        folder.file(name, name);
    }
    for name in ["example/client_id", "example/client_secret"] {
        folder.file(name, name);
    }
    folder.file("example.json", EXAMPLE_BODY);
    folder.file("shared/url", "rediss://gateway:p4ss@store");
    folder.file("shared/key", super::SHARED_KEY);
    let root = format!("{}/", folder.0.display());
    let text = EXAMPLE.replace("/etc/balance-gateway/", &root).replace("/var/run/secrets/", &root);
    let switched_on = |line: &str| {
        let example = line.strip_prefix('#').filter(|rest| rest.starts_with(|first: char| first != ' '));
        example.unwrap_or(line).to_owned()
    };
    text.lines().map(switched_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_runs_with_the_one_secret_it_asks_for() {
    let config = read(EXAMPLE).unwrap();

    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

#[test]
fn the_example_shows_the_defaults() {
    // Keys without a default: kind, references, credentials and callers.
    let needed = [
        "[providers.",
        "[accounts.",
        "[callers.",
        "kind =",
        "provider =",
        "token =",
        "keys_sha256 =",
        "accounts =",
    ];
    let least: Vec<&str> =
        EXAMPLE.lines().filter(|line| needed.iter().any(|start| line.starts_with(start))).collect();

    let defaults = read(&least.join("\n")).unwrap();

    assert_eq!(read(EXAMPLE).unwrap().masked(), defaults.masked());
}

#[test]
fn the_commented_examples_are_valid() {
    let folder = Folder::new();

    let config = read(&uncommented(&folder)).unwrap_or_else(|errors| panic!("{errors}"));

    assert_eq!(config.providers.len(), 3);
    assert_eq!(config.accounts.len(), 4);
    assert!(config.callers[0].is_forced_configured);
    assert_eq!(config.hooks.len(), 3);
    assert!(config.server.tls.is_some() && config.kubernetes.is_some() && config.shared.is_some());
}

#[test]
fn the_example_mentions_every_key() {
    let folder = Folder::new();
    let text = uncommented(&folder);
    // The message about an unknown key lists all keys of a section.
    let spoilt: Vec<String> = text
        .lines()
        .map(|line| {
            let line = if line.starts_with('[') { [line, "\nzzz = 1"].concat() } else { line.to_owned() };
            line.replace("= { ", "= { zzz = 1, ").replace("[{ ", "[{ zzz = 1, ")
        })
        .collect();

    let errors = read(&spoilt.join("\n")).unwrap_err().to_string();

    let keys: Vec<&str> = errors
        .lines()
        .flat_map(|line| line.split("expected one of ").skip(1))
        .flat_map(|keys| keys.split(", "))
        .collect();
    assert!(keys.len() > 80, "{errors}");
    for key in keys {
        assert!(text.contains(&format!("{key} = ")), "{key}");
    }
}
