//! The stream readers of `docs/clients.md`, run as they are written there: each prints a change and reconnects.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use balance_gateway::sandbox::Kind;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::clients::{CLIENTS, GO, Language, PYTHON, SHELL, TYPESCRIPT, block, command};
use crate::harness::{Harness, Setup};
use crate::process::Folder;

const KIND: Kind = Kind::NtxpayBr;
/// Go compiles the example first, and the machine may be busy.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// A running example, killed on drop.
struct Reader {
    child: Child,
    lines: UnboundedReceiver<String>,
    _folder: Folder,
}

impl Reader {
    async fn start(language: Language, gateway: &Harness) -> Self {
        let code = block(CLIENTS.split_once("## Follow balances").unwrap().1, language.name);
        let url = format!("http://{}", gateway.api);
        let spawned = tokio::task::spawn_blocking(move || {
            let folder = Folder::new();
            let mut command = command(language, code, &folder, &url, &["ntxpay-br-demo"]);
            // A separate process group, so that its child processes end with it.
            command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
            (command.spawn().expect("tests/run installs what the examples need"), folder)
        });
        let (mut child, folder) = spawned.await.unwrap();
        let (send, lines) = unbounded_channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines, _folder: folder }
    }

    /// Waits for this line.
    async fn says(&mut self, expected: &str) {
        let said = async { while self.lines.recv().await.expect("the example runs") != expected {} };
        timeout(TEST_TIMEOUT, said).await.unwrap_or_else(|_| panic!("the example does not print {expected}"));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

async fn assert_follows(language: Language) {
    let setup = Setup { server: "max_connection_age = \"3s\"".to_owned(), ..Setup::default() };
    let gateway = Harness::start(setup).await;
    let set = |amount| gateway.provider(KIND).set_field("BRL", None, "netBalance", amount);
    let mut reader = Reader::start(language, &gateway).await;
    reader.says("available 48734.90 BRL").await;

    set("7.01");
    gateway.new_balance(KIND).await;
    reader.says("available 7.01 BRL").await;
    // The stream ends after three seconds. A change before the next stream is the first event of that stream.
    crate::harness::eventually("the stream ends", || async {
        gateway.metric("event_streams{caller=\"all\"}").await == Some(0.0)
    })
    .await;
    set("8.02");
    gateway.new_balance(KIND).await;

    reader.says("available 8.02 BRL").await;
}

#[tokio::test]
async fn the_curl_reader_reconnects() {
    assert_follows(SHELL).await;
}

#[tokio::test]
async fn the_typescript_reader_reconnects() {
    assert_follows(TYPESCRIPT).await;
}

#[tokio::test]
async fn the_python_reader_reconnects() {
    assert_follows(PYTHON).await;
}

#[tokio::test]
async fn the_go_reader_reconnects() {
    assert_follows(GO).await;
}
