//! The README and `docs/api.md`: their configuration serves a balance, and their tables miss no endpoint, code or
//! command.

use std::collections::BTreeSet;

use balance_gateway::sandbox::{Credentials, Kind, SimulatedProvider};
use serde_json::Value;

use crate::harness::{Harness, KEY, Reply, digest};
use crate::process::{Folder, Gateway, command, run};

const README: &str = include_str!("../../README.md");
const API: &str = include_str!("../../docs/api.md");

/// The code block of the README in this language.
fn block(language: &str) -> &'static str {
    let (_, code) = README.split_once(&format!("```{language}\n")).unwrap();
    code.split_once("```").unwrap().0
}

/// The names in a JSON object, in their order.
fn names(object: &Value) -> Vec<&String> {
    object.as_object().unwrap().keys().collect()
}

#[test]
fn the_configuration_passes_the_check_as_written() {
    let folder = Folder::new();
    let config = folder.write("gateway.toml", block("toml"));
    let mut check = command(&["check", "--config", &config]);
    check.env("NTXPAY_CLIENT_ID", "id").env("NTXPAY_CLIENT_SECRET", "secret");

    let output = check.output().unwrap();

    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_serves_a_balance() {
    let (folder, provider) = (Folder::new(), SimulatedProvider::start(Kind::NtxpayBr).await.unwrap());
    let Credentials { client_id, client_secret, .. } = provider.credentials();
    let (before, quoted) = block("toml").split_once("keys_sha256 = [\"").unwrap();
    let (_, after) = quoted.split_once('"').unwrap();
    let with_key = format!("{before}keys_sha256 = [\"{}\"{after}", digest(KEY));
    let base_url = format!("[providers.ntxpay-br]\nbase_url = \"{}\"", provider.url());
    let server = "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n";
    let text = format!("{server}{}", with_key.replace("[providers.ntxpay-br]", &base_url));
    let config = folder.write("gateway.toml", &text);
    let mut serve = command(&["serve", "--config", &config]);
    serve.env("NTXPAY_CLIENT_ID", client_id).env("NTXPAY_CLIENT_SECRET", client_secret);
    let gateway = Gateway::run(serve).await;

    let request = gateway.client.get(format!("http://{}/v1/accounts/treasury-br/balance", gateway.api));
    let reply = Reply::read(request.bearer_auth(KEY).send().await.unwrap()).await;

    assert_eq!((reply.status, &reply.json()["available"]), (200, &"48734.90".into()), "{reply:?}");
}

#[tokio::test]
async fn the_answer_has_the_fields_of_a_real_one() {
    let gateway = Harness::usual().await;
    let written: Value = serde_json::from_str(block("json")).unwrap();

    let served = gateway.balance(Kind::NtxpayBr).await.json();

    assert_eq!(names(&written), names(&served));
    for field in ["account", "provider", "currency", "available", "total", "reported"] {
        assert_eq!(written[field], served[field], "{field}");
    }
}

#[tokio::test]
async fn the_tables_list_every_endpoint_and_every_code() {
    let gateway = Harness::usual().await;

    let document = gateway.get("/openapi.json").await.json();

    let paths = document["paths"].as_object().unwrap().keys().filter(|path| !path.ends_with("{file}"));
    let codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array();
    let codes: BTreeSet<_> =
        codes.unwrap().iter().map(|code| format!("`{}`", code.as_str().unwrap())).collect();
    for path in paths {
        assert!(README.contains(&format!(" {path}")), "README.md lacks {path}");
        assert!(API.contains(&format!(" {path}")), "docs/api.md lacks {path}");
    }
    let (_, errors) = API.split_once("\n## Errors\n").unwrap();
    let missing: Vec<_> = codes.iter().filter(|code| !errors.contains(*code)).collect();
    assert!(codes.len() > 20 && missing.is_empty(), "docs/api.md lacks {missing:?}");
}

#[test]
fn the_table_lists_every_command() {
    let (_, help, _) = run(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();

    let commands: Vec<_> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(' '))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();

    let missing: Vec<_> = commands.iter().filter(|name| !README.contains(&format!("| `{name}"))).collect();
    assert!(commands.contains(&"serve") && missing.is_empty(), "{missing:?}");
}
