//! The real program in its own process, its files, and a simulated provider.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use balance_gateway::sandbox::{Credentials, Kind, SimulatedProvider};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{self, KEY, Reply, TEST_TIMEOUT, digest, eventually, record, retry_within};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_balance-gateway");

/// A temporary folder, removed on drop.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("process-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file that only its owner may read, and returns its path as text.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left-over files are in the build folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A simulated provider and the configuration of a gateway in front of it, its secrets in files.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    pub(crate) provider: SimulatedProvider,
    pub(crate) config: String,
    pub(crate) secrets: Vec<String>,
}

impl Site {
    /// A gateway with these lines of `[server]`.
    pub(crate) async fn new(server: &str) -> Self {
        Self::with_provider(server, "").await
    }

    /// A gateway with these lines of `[server]` and `[providers.ntxpay-br]`.
    pub(crate) async fn with_provider(server: &str, provider_lines: &str) -> Self {
        let (folder, provider) = (Folder::new(), SimulatedProvider::start(Kind::NtxpayBr).await.unwrap());
        let Credentials { client_id, client_secret, .. } = provider.credentials();
        let id = folder.write("client_id", &client_id);
        let secret = folder.write("client_secret", &format!("{client_secret}\n"));
        let config = folder.write(
            "gateway.toml",
            &format!(
                "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n{server}\n\
                 [providers.ntxpay-br]\nkind = \"ntxpay-br\"\nbase_url = \"{}\"\n{provider_lines}\n\
                 [accounts.treasury]\nprovider = \"ntxpay-br\"\nclient_id = {{ file = \"{id}\" }}\n\
                 client_secret = {{ file = \"{secret}\" }}\n\
                 [callers.all]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
                 limit = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n",
                provider.url(),
                digest(KEY)
            ),
        );
        let secrets = vec![client_id, client_secret, KEY.to_owned()];
        record("secrets", &secrets.join("\n"));
        Self { folder, provider, config, secrets }
    }

    /// Starts the gateway.
    pub(crate) async fn serve(&self) -> Gateway {
        Gateway::start(&["serve", "--config", &self.config]).await
    }
}

/// A running program, killed on drop.
pub(crate) struct Gateway {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// The threads that collect the lines.
    collectors: [JoinHandle<()>; 2],
    pub(crate) api: String,
    pub(crate) ops: String,
    /// The caller key of every request.
    pub(crate) key: &'static str,
    pub(crate) client: reqwest::Client,
}

impl Gateway {
    /// Starts the program with these arguments.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::run(command(arguments)).await
    }

    /// Starts a command made by [`command`], and waits for its addresses.
    pub(crate) async fn run(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let collectors = [
            collect(child.stdout.take().unwrap(), Arc::clone(&lines)),
            collect(child.stderr.take().unwrap(), Arc::clone(&lines)),
        ];
        let client = harness::client().build().unwrap();
        let (api, ops) = (String::new(), String::new());
        let mut gateway = Self { child, lines, collectors, api, ops, key: KEY, client };
        let is_ready = || async { gateway.find("api").is_some() };
        eventually("the program logs its addresses", is_ready).await;
        let ready = gateway.find("api").unwrap();
        [gateway.api, gateway.ops] = ["api", "ops"].map(|side| ready[side].as_str().unwrap().to_owned());
        gateway
    }

    /// The first JSON line with this field.
    pub(crate) fn find(&self, field: &str) -> Option<Value> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line.get(field).is_some())
    }

    /// The logged events of this name.
    pub(crate) fn lines_of(&self, event: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|line| line["event"] == event).collect()
    }

    /// Waits for a logged event with this name and returns all of them. A line may be written after its answer.
    pub(crate) async fn logged(&self, event: &str) -> Vec<Value> {
        eventually(event, || async { !self.lines_of(event).is_empty() }).await;
        self.lines_of(event)
    }

    /// All lines so far.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Sends a GET to the listener at this address.
    pub(crate) async fn get(&self, address: &str, path: &str) -> Result<Reply, reqwest::Error> {
        let request = self.client.get(format!("http://{address}{path}")).bearer_auth(self.key);
        Ok(Reply::read(request.send().await?).await)
    }

    /// Sends a GET with further headers to the API port.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.client.get(format!("http://{}{path}", self.api)).bearer_auth(self.key);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Reply::read(request.send().await.unwrap()).await
    }

    /// The most resident memory so far, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The resident memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The processor time so far, of all threads.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // `utime` and `stime`: the 12th and 13th field after the name in parentheses, in hundredths of a second.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        Duration::from_millis(fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
    }

    /// Resets [`Self::most_memory`], which then counts from now on.
    pub(crate) fn forget_most_memory(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The number of files that it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Sends a signal by its name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its exit and its last lines.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let exit = || std::future::ready(self.child.try_wait().unwrap().ok_or(()));
        let status = retry_within(TEST_TIMEOUT, exit).await;
        let status = status.unwrap_or_else(|()| panic!("the program does not end: {}", self.output()));
        let are_done = || async { self.collectors.iter().all(JoinHandle::is_finished) };
        eventually("its last lines are collected", are_done).await;
        status
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with these arguments, not yet started. `BALANCE_GATEWAY_PROGRAM` names another build to measure.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let program = std::env::var_os("BALANCE_GATEWAY_PROGRAM").unwrap_or_else(|| BINARY.into());
    let mut command = Command::new(program);
    command.args(arguments).env_remove("BALANCE_GATEWAY_CONFIG").env_remove("SSL_CERT_FILE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same, with a limit of open files.
pub(crate) fn command_with_files(files: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\""), BINARY]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn collect(output: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            record("seen", &line);
            lines.lock().unwrap().push(line);
        }
    })
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (status.code(), stdout, stderr)
}

/// Runs a command to its end, and records its output.
pub(crate) fn run_on_record(arguments: &[&str]) -> (Option<i32>, String, String) {
    let (code, stdout, stderr) = run(arguments);
    record("seen", &stdout);
    record("seen", &stderr);
    (code, stdout, stderr)
}

/// Sends one request and reads the complete answer.
pub(crate) async fn exchange(stream: &mut TcpStream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        let mut block = [0; 4096];
        let length = stream.read(&mut block).await?;
        if length == 0 {
            let text = format!("the connection ended after {} bytes", answer.len());
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, text));
        }
        answer.extend_from_slice(&block[..length]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if announced == Some(body.len()) {
            return Ok(text.into_owned());
        }
    }
}

/// An address without a listener.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
