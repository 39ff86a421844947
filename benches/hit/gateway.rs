//! The gateway in a separate process under callgrind.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use balance_gateway::sandbox::SimulatedProvider;

use super::certificate::Certificate;
use super::profile::Profile;
use super::scenario::{Protocol, Scenario};

/// The pause between two checks for a dump.
const PAUSE: Duration = Duration::from_millis(50);
/// How often to check for a dump: for a minute.
const CHECKS: u32 = 1200;

/// A running gateway; killed, and its files removed, on drop.
pub(crate) struct Gateway {
    child: Child,
    /// Kept open, so that a log line does not fail.
    _output: BufReader<ChildStdout>,
    api: SocketAddr,
    ops: SocketAddr,
    folder: PathBuf,
}

impl Gateway {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(
        scenario: &Scenario,
        provider: &SimulatedProvider,
        certificate: &Certificate,
    ) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("hit-{}-{}", std::process::id(), scenario.name));
        fs::create_dir(&folder)?;
        let configuration = folder.join("gateway.toml");
        let tls =
            if scenario.protocol == Protocol::Tls { certificate.write(&folder)? } else { String::new() };
        fs::write(&configuration, scenario.configuration(&tls, &provider.url()))?;
        let mut child = Command::new("valgrind")
            .args(["--tool=callgrind", "--collect-systime=msec", "--error-limit=no"])
            .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
            .arg(program())
            .args(["serve", "--config"])
            .arg(configuration)
            .env("TOKEN", &provider.credentials().token)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::other(format!("valgrind cannot be started: {error}")))?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut output = BufReader::new(output);
        let (api, ops) = ready(&mut output)?;
        Ok(Self { child, _output: output, api, ops, folder })
    }

    /// The address for the scenario's requests.
    pub(crate) fn address_of(&self, scenario: &Scenario) -> SocketAddr {
        if scenario.is_operations { self.ops } else { self.api }
    }

    /// Begins the count with a dump, which resets all counts; `--zero` does not reset all of them.
    pub(crate) fn reset_counts(&self) -> io::Result<()> {
        self.dump(1).map(drop)
    }

    /// Returns the counts. `keep` is where callgrind's own file is saved, for tools such as `callgrind_annotate`.
    pub(crate) fn counts(&self, keep: Option<&Path>) -> io::Result<Profile> {
        let text = self.dump(2)?;
        if let Some(keep) = keep {
            fs::write(keep, &text)?;
        }
        Profile::parse(&text)
    }

    /// Requests a dump, which gets this number, and waits until it is complete.
    fn dump(&self, number: u32) -> io::Result<String> {
        self.control("--dump")?;
        for _ in 0..CHECKS {
            let text = fs::read_to_string(self.folder.join(format!("out.{number}"))).unwrap_or_default();
            if text.contains("\ntotals:") {
                return Ok(text);
            }
            thread::sleep(PAUSE);
        }
        Err(io::Error::other("callgrind wrote no counts"))
    }

    fn control(&self, command: &str) -> io::Result<()> {
        let pid = self.child.id().to_string();
        let output = Command::new("callgrind_control").args([command, &pid]).output()?;
        if output.status.success() && String::from_utf8_lossy(&output.stdout).contains("OK") {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Err(io::Error::other(format!("callgrind_control {command} {pid}: {text}")))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Errors are ignored: the process may have ended, and the system removes temporary files.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The gateway that this bench was built with, or another build of it.
fn program() -> PathBuf {
    let other = std::env::var_os("BALANCE_GATEWAY_PROGRAM");
    other.map_or_else(|| env!("CARGO_BIN_EXE_balance-gateway").into(), PathBuf::from)
}

/// The two addresses of the ready event.
fn ready(output: &mut impl io::BufRead) -> io::Result<(SocketAddr, SocketAddr)> {
    for line in output.lines() {
        let line: serde_json::Value = serde_json::from_str(&line?)?;
        if line["event"] == "ready" {
            let address = |name: &str| line[name].as_str().and_then(|text| text.parse().ok());
            return address("api")
                .zip(address("ops"))
                .ok_or_else(|| io::Error::other("a ready event without addresses"));
        }
    }
    Err(io::Error::other("the gateway ended"))
}
