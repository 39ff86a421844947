//! The client examples of `docs/clients.md`, run as they are written there.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};

use crate::harness::{Harness, KEY};
use crate::process::Folder;

pub(crate) const CLIENTS: &str = include_str!("../../docs/clients.md");

/// The first example of a text in this language.
pub(crate) fn block(text: &'static str, language: &str) -> &'static str {
    let (_, code) = text.split_once(&format!("```{language}\n")).expect("each language has an example");
    code.split_once("```\n").unwrap().0
}

/// How to run an example: its file, the command, and the arguments before the example's own.
#[derive(Clone, Copy)]
pub(crate) struct Language {
    pub(crate) name: &'static str,
    file: &'static str,
    run: &'static [&'static str],
}

pub(crate) const TYPESCRIPT: Language =
    Language { name: "ts", file: "client.mjs", run: &["node", "client.mjs"] };
pub(crate) const PYTHON: Language =
    Language { name: "python", file: "client.py", run: &["python3", "client.py"] };
pub(crate) const GO: Language = Language { name: "go", file: "client.go", run: &["go", "run", "client.go"] };
const PHP: Language = Language { name: "php", file: "client.php", run: &["php", "client.php"] };
pub(crate) const SHELL: Language =
    Language { name: "sh", file: "client.sh", run: &["bash", "-eu", "client.sh"] };

/// Runs an example; `amount` is the payment.
async fn run(language: Language, gateway: &Harness, amount: &'static str) -> Output {
    let folder = Folder::new();
    let code = block(CLIENTS, language.name);
    let url = format!("http://{}", gateway.api);
    let running = move || {
        let mut command = command(language, code, &folder, &url, &["ntxpay-br-demo", amount]);
        command.output().expect("tests/run installs what the examples need")
    };
    tokio::task::spawn_blocking(running).await.unwrap()
}

/// The command that runs an example in a folder.
pub(crate) fn command(
    language: Language,
    code: &str,
    folder: &Folder,
    url: &str,
    arguments: &[&str],
) -> Command {
    let code = if language.name == "ts" { without_types(folder, code) } else { code.to_owned() };
    folder.write(language.file, &code);
    let mut command = Command::new(language.run[0]);
    command.args(&language.run[1..]).args(arguments).current_dir(&folder.0);
    command.env("BALANCE_GATEWAY_URL", url).env("BALANCE_GATEWAY_KEY", KEY);
    // A shared build cache, so that Go compiles its library once.
    command.env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go"));
    command
}

fn without_types(folder: &Folder, code: &str) -> String {
    let file = folder.write("client.ts", code);
    let output = Command::new("esbuild").args([&file, "--format=esm", "--log-level=warning"]).output();
    let output = output.expect("tests/run installs esbuild");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn assert_right(language: Language) {
    let gateway = Harness::usual().await;
    let busy = FaultKind::Status { status: 429, retry_after: Some("1".into()), body: None };
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(busy));

    let start = Instant::now();
    let covered = run(language, &gateway, "150.00").await;
    let took = start.elapsed();
    let short = run(language, &gateway, "50000.01").await;

    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    assert!(covered.status.success(), "{}", String::from_utf8_lossy(&covered.stderr));
    assert_eq!(said(&covered), "available 48734.90 BRL\n150.00 is covered\n");
    assert!(took >= Duration::from_secs(1), "{took:?} is shorter than the second of Retry-After");
    assert_eq!(said(&short), "available 48734.90 BRL\n50000.01 is short of 1265.11\n");
    assert_eq!(
        gateway.calls(Kind::NtxpayBr, Operation::Balance).len(),
        4,
        "one throttled, one read, two checks"
    );
}

#[tokio::test]
async fn the_typescript_example_works() {
    assert_right(TYPESCRIPT).await;
}

#[tokio::test]
async fn the_python_example_works() {
    assert_right(PYTHON).await;
}

#[tokio::test]
async fn the_go_example_works() {
    assert_right(GO).await;
}

#[tokio::test]
async fn the_php_example_works() {
    assert_right(PHP).await;
}

#[tokio::test]
async fn the_curl_example_works() {
    let gateway = Harness::usual().await;
    let busy = FaultKind::Status { status: 429, retry_after: Some("1".into()), body: None };
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(busy));

    let output = run(SHELL, &gateway, "150.00").await;

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("\"available\":\"48734.90\"").count(), 4, "{text}");
    assert!(text.contains("{\"sufficient\":true,\"amount\":\"150.00\""), "{text}");
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 4, "one throttled, three reads");
}
