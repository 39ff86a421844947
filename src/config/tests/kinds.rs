//! Every rule for a declared kind: one line for each mistake, with the key that its message names.

mod amounts;
mod requests;

use std::path::Path;

use crate::config::{self, Config, ConfigErrors};

/// A kind with one secret and one amount, its provider and an account.
const PLAIN: &str = r#"
[kinds.k]
base_url = "https://k.example"
path = "/balance"
secrets = ["key"]
headers = { x-key = "{key}" }
currency = "BRL"
units = "minor"
available = "/available"
blocked = "/blocked"
[[kinds.k.examples]]
body = { env = "PLAIN" }
available = "48734.91"
blocked = "1250.37"
[providers.p]
kind = "k"
budget = { requests = 60, per = "1m" }
[accounts.a]
provider = "p"
secrets = { key = { env = "SECRET" } }
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
"#;
/// A kind with a row for each currency.
const ROWS: &str = r#"
[kinds.k]
base_url = "https://k.example"
path = "/balance"
secrets = ["key"]
headers = { x-key = "{key}" }
rows = "/rows"
currency = { at = "/currency" }
units = "major"
available = "/amount"
[[kinds.k.examples]]
body = { env = "ROWS" }
currency = "BRL"
available = "48734.91"
[providers.p]
kind = "k"
budget = { requests = 60, per = "1m" }
[accounts.a]
provider = "p"
secrets = { key = { env = "SECRET" } }
balances = [{ currency = "BRL" }]
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
"#;
/// A kind that exchanges two secrets for a token.
const TOKEN: &str = r#"
[kinds.k]
base_url = "https://k.example"
path = "/balance"
secrets = ["id", "key"]
headers = { Authorization = "Bearer {token}" }
token = { path = "/token", basic = ["{id}", "{key}"], at = "/access_token", seconds = "/expires_in" }
currency = "BRL"
units = "minor"
available = "/available"
[[kinds.k.examples]]
body = { env = "PLAIN" }
available = "48734.91"
[providers.p]
kind = "k"
budget = { requests = 60, per = "1m" }
[accounts.a]
provider = "p"
secrets = { id = { env = "SECRET" }, key = { env = "SECRET" } }
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    let env = |name: &str| {
        Some(match name {
            "PLAIN" => r#"{"available":4873491,"blocked":125037,"round":4873490,"more":7}"#,
            "ZERO" => r#"{"available":4873491,"blocked":0}"#,
            "EQUAL" => r#"{"available":4873491,"blocked":4873491}"#,
            "ROUND" => r#"{"available":4873490,"blocked":125030}"#,
            "ROWS" => {
                r#"{"rows":[{"currency":"USD","amount":1.01},{"currency":"BRL","amount":48734.91},{"currency":"EUR","amount":2.02}]}"#
            }
            "FIRST_ROW" => r#"{"rows":[{"currency":"BRL","amount":48734.91},{"currency":"USD","amount":1.01}]}"#,
            "SECRET" => "s3cr3t",
            _ => return None,
        }
        .to_owned())
    };
    config::parse(text, Path::new("g.toml"), &env)
}

/// A configuration, a text in it and its replacement, and the start and a part of the expected message.
type Mistake = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[test]
fn each_mistake_of_a_kind_is_refused_with_its_key() {
    for text in [PLAIN, ROWS, TOKEN] {
        parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    }
    let mut wrong = Vec::new();
    for (rule, mistakes) in requests::MISTAKES.iter().chain(amounts::MISTAKES) {
        for (text, from, to, key, expected) in *mistakes {
            assert!(text.contains(from), "rule {rule}: {from}");

            let read = parse(&text.replacen(from, to, 1));
            let errors = read.err().map_or("it is accepted".to_owned(), |errors| errors.to_string());

            let start = format!("g.toml: {key}");
            if !errors.lines().any(|line| line.starts_with(&start) && line.contains(expected)) {
                wrong.push(format!("rule {rule}, {to:?}: expected {key}{expected}, not\n{errors}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unwise_kinds_are_warned_of() {
    for (text, from, to, expected) in [
        (
            PLAIN,
            "path =",
            "query = { key = \"{key}\" }\npath =",
            "kinds.k.query: key holds a secret, and proxies log URLs",
        ),
        (
            PLAIN,
            "path =",
            "method = \"POST\"\npath =",
            "kinds.k.method: POST is retried like GET; make sure that it only reads",
        ),
        (
            PLAIN,
            "[providers.p]",
            "[kinds.unused]\npath = \"/b\"\ncurrency = \"BRL\"\nunits = \"minor\"\navailable = \"/available\"\n\
            [[kinds.unused.examples]]\nbody = { env = \"PLAIN\" }\navailable = \"48734.91\"\n[providers.p]",
            "kinds.unused: no provider is of this kind",
        ),
    ] {
        let config = parse(&text.replacen(from, to, 1)).unwrap_or_else(|errors| panic!("{errors}"));

        let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning == expected), "{warnings:?}");
    }
}
