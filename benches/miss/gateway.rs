//! A gateway in a separate process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use balance_gateway::sandbox::SimulatedProvider;
use sha2::{Digest, Sha256};

pub(crate) const KEY: &str = "bgk_bench";
/// 32 bytes in base64, as `[shared]` requires.
const SHARED_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A running gateway, killed on drop.
pub(crate) struct Gateway {
    child: Child,
    /// Kept open, so that a log line does not fail.
    _output: BufReader<ChildStdout>,
    pub(crate) api: SocketAddr,
    folder: PathBuf,
}

impl Gateway {
    /// Starts a gateway with one account and waits until it is ready.
    pub(crate) fn start(provider: &SimulatedProvider, further: &str) -> Self {
        let digest = bytes::Bytes::from(Sha256::digest(KEY).to_vec());
        let unlimited = "{ requests = 10000000, per = \"10s\", burst = 10000000 }";
        let url = provider.url();
        let config = format!(
            "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
             [providers.ntxpay-br]\nkind = \"ntxpay-br\"\nbase_url = \"{url}\"\n\
             budget = {{ requests = 100000, per = \"1m\" }}\n\
             [accounts.account]\nprovider = \"ntxpay-br\"\ntoken = {{ env = \"TOKEN\" }}\n\
             [callers.bench]\nkeys_sha256 = [\"{digest:x}\"]\naccounts = [\"*\"]\n\
             limit = {unlimited}\nforced = {unlimited}\n{further}"
        );
        let folder = std::env::temp_dir().join(format!("miss-{}-{}", std::process::id(), further.len()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("gateway.toml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(program())
            .args(["serve", "--config"])
            .arg(file)
            .env("TOKEN", provider.credentials().token)
            .env("SHARED_KEY", SHARED_KEY)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let api = ready["api"].as_str().unwrap().parse().unwrap();
        Self { child, _output: output, api, folder }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The gateway that this bench was built with, or another build of it.
fn program() -> PathBuf {
    let other = std::env::var_os("BALANCE_GATEWAY_PROGRAM");
    other.map_or_else(|| env!("CARGO_BIN_EXE_balance-gateway").into(), PathBuf::from)
}
