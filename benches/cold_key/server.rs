//! A contender's process: found, configured in a folder of its own, started, waited for, and ended.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use balance_gateway::sandbox::SimulatedProvider;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use super::clients;
use super::contender::Contender;

/// Where daemons are, though it is not in everybody's `PATH`.
const FURTHER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// Varnish compiles its configuration with a C compiler; the others need milliseconds.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks at something that is about to happen.
const PAUSE: Duration = Duration::from_millis(20);
/// How often to look whether a process has ended by itself: for five seconds.
const LOOKS: u32 = 250;

/// A running contender.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) contender: &'static Contender,
    pub(crate) address: SocketAddr,
    /// As the program tells it.
    pub(crate) version: String,
    process: Process,
    folder: Folder,
}

/// Asked to end when dropped, and waited for.
#[derive(Debug)]
struct Process(Child);

/// Removed when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Server {
    /// Starts the contender in front of the provider and waits until it answers; nothing when it is not installed.
    pub(crate) async fn start(
        contender: &'static Contender,
        provider: &SimulatedProvider,
    ) -> io::Result<Option<Self>> {
        let Some(program) = find(contender.program) else { return Ok(None) };
        let version = version(&program, contender.version_argument)?;
        let folder = Folder::create(contender.name)?;
        let address = free_address()?;
        let token = provider.credentials().token;
        let configuration = contender.configuration(address.port(), provider.addr().port(), &token);
        fs::write(folder.configuration(), configuration)?;
        let fill = |argument: &str| {
            argument
                .replace("@PORT@", &address.port().to_string())
                .replace("@FOLDER@", &folder.0.to_string_lossy())
                .replace("@CONFIGURATION@", &folder.configuration().to_string_lossy())
        };
        let log = File::create(folder.log())?;
        let child = Command::new(program)
            .args(contender.arguments.split(' ').map(fill))
            .env("PROVIDER_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { contender, address, version, process: Process(child), folder };
        timeout(START_DEADLINE, server.ready())
            .await
            .unwrap_or_else(|_| Err(server.failure("does not answer")))?;
        Ok(Some(server))
    }

    /// Returns when the server has brought a balance.
    async fn ready(&mut self) -> io::Result<()> {
        let request = self.contender.request(0);
        loop {
            if let Some(status) = self.process.0.try_wait()? {
                return Err(self.failure(&format!("ended: {status}")));
            }
            let answers = clients::ask(self.address, &request, 1).await.unwrap_or_default();
            if answers.iter().any(|answer| answer.status == 200) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    fn failure(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(self.folder.log()).unwrap_or_default();
        io::Error::other(format!("{} {what}\n{log}", self.contender.name))
    }
}

impl Process {
    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // Not killed at once: nginx and Varnish have children, which they end. The id is still its own, since nobody
        // has waited for it.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        for _ in 0..LOOKS {
            if self.has_ended() {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Folder {
    /// Under the system's folder for temporary files, since a daemon that drops its rights cannot always enter ours.
    fn create(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("cold-key-{}-{name}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn configuration(&self) -> PathBuf {
        self.0.join("configuration")
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, as everything there.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program's path; a path is found as it is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = FURTHER_FOLDERS.map(PathBuf::from);
    std::env::split_paths(&path).chain(further).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The first line of what the program says of itself.
fn version(program: &Path, argument: &str) -> io::Result<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// An address that nobody listens on; not every contender can take any free one by itself.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
