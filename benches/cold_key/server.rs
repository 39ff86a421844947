//! A contender's process: found, configured in a separate folder, started, awaited and stopped.

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

/// Folders of daemons, which may be missing in `PATH`.
const FURTHER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// Varnish compiles its configuration with a C compiler; the others need milliseconds.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// The pause between two checks for the same condition.
const PAUSE: Duration = Duration::from_millis(20);
/// How often to check whether a process has ended after SIGTERM: for five seconds.
const CHECKS: u32 = 250;

/// A running contender.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) contender: &'static Contender,
    pub(crate) address: SocketAddr,
    /// The version that the program prints.
    pub(crate) version: String,
    process: Process,
    folder: Folder,
}

/// Stopped on drop: gets SIGTERM, and is killed if it does not end.
#[derive(Debug)]
struct Process(Child);

/// Removed on drop.
#[derive(Debug)]
struct Folder(PathBuf);

impl Server {
    /// Starts the contender in front of the provider and waits until it answers; `None` if it is not installed.
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

    /// Waits until the server answers with a balance.
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
        // SIGTERM first, because nginx and Varnish must stop their children. The process id is still valid, because the
        // process has not been waited for.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        for _ in 0..CHECKS {
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
    /// In the system's temporary folder, because a daemon that drops its rights cannot always enter the build folder.
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
        // The system removes left-over temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of the program; a name that is already a path stays as it is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = FURTHER_FOLDERS.map(PathBuf::from);
    std::env::split_paths(&path).chain(further).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The first line of the program's version output.
fn version(program: &Path, argument: &str) -> io::Result<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// A free address, because not every contender can choose a free port itself.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
