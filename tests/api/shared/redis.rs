//! A Redis server or sentinel of the Debian package, as a child process without persistence.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use redis::Commands;

use crate::harness::eventually;
use crate::process::{Folder, free_address};

/// A running server, killed on drop.
pub(super) struct RedisServer {
    address: String,
    arguments: Vec<String>,
    /// The password of its clients, if they need one.
    password: Option<&'static str>,
    child: Mutex<Child>,
    folder: Folder,
}

impl RedisServer {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with further arguments.
    pub(super) async fn with(arguments: &[&str]) -> Self {
        Self::run(Folder::new(), arguments, None).await
    }

    /// Starts a server with a password.
    pub(super) async fn with_password(password: &'static str) -> Self {
        Self::run(Folder::new(), &["--requirepass", password], Some(password)).await
    }

    /// Starts a sentinel that watches this master under this name, with a quorum of one.
    pub(super) async fn sentinel_of(master: &Self, name: &str) -> Self {
        let (folder, address) = (Folder::new(), master.address.replace(':', " "));
        let login = master.password.map_or_else(String::new, |password| {
            format!("requirepass {password}\nsentinel auth-pass {name} {password}\n")
        });
        let config = folder.write(
            "sentinel.conf",
            &format!(
                "sentinel monitor {name} {address} 1\nsentinel down-after-milliseconds {name} 500\n\
                 sentinel failover-timeout {name} 2000\n{login}"
            ),
        );
        Self::run(folder, &[&config, "--sentinel"], master.password).await
    }

    async fn run(folder: Folder, arguments: &[&str], password: Option<&'static str>) -> Self {
        let address = free_address();
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let child = Mutex::new(spawn(&address, &folder, &arguments));
        let server = Self { address, arguments, password, child, folder };
        server.until_ready().await;
        server
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn url(&self) -> String {
        let login = self.password.map_or_else(String::new, |password| format!(":{password}@"));
        format!("redis://{login}{}", self.address)
    }

    /// Kills the server; its data is lost.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again at the same address.
    pub(super) async fn restart(&self) {
        *self.child.lock().unwrap() = spawn(&self.address, &self.folder, &self.arguments);
        self.until_ready().await;
    }

    /// Sends a signal by its name, as `STOP`.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.lock().unwrap().id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// A connection with every right.
    pub(super) fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// The answer to a command, as text.
    pub(super) fn ask(&self, command: &str) -> String {
        let mut words = command.split(' ');
        let answer =
            redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query(&mut self.connection());
        let answer: redis::Value = answer.unwrap_or_else(|error| panic!("{command}: {error}"));
        format!("{answer:?}")
    }

    /// Every key in the store, sorted.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.connection().keys("*").unwrap();
        keys.sort();
        keys
    }

    /// The key of each stored snapshot: a hash with the field `v`, other than the state of an account.
    pub(super) fn snapshots(&self) -> Vec<String> {
        let (mut keys, mut connection) = (self.keys(), self.connection());
        keys.retain(|key| ![":state", ":calls", ":units"].iter().any(|end| key.ends_with(end)));
        keys.retain(|key| connection.hexists(key, "v").unwrap());
        keys
    }

    /// Whether a snapshot is stored under a key other than these.
    pub(super) fn has_published(&self, known: &[String]) -> bool {
        self.snapshots().iter().any(|key| !known.contains(key))
    }

    /// Waits until a snapshot is stored under a key other than these.
    pub(super) async fn until_published(&self, known: &[String]) {
        eventually("the snapshot is published", || async { self.has_published(known) }).await;
    }

    /// Changes a setting while it runs.
    pub(super) fn configure(&self, name: &str, value: &str) {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut self.connection()).unwrap();
    }

    /// Whether a failure is held for all replicas.
    pub(super) fn has_hold(&self) -> bool {
        self.has_field('h')
    }

    /// Whether a balance is marked as invalid for all replicas.
    pub(super) fn has_mark(&self) -> bool {
        self.has_field('m')
    }

    /// Whether the store has the lease of a running read.
    pub(super) fn has_lease(&self) -> bool {
        self.has_field('l')
    }

    fn has_field(&self, first: char) -> bool {
        let mut connection = self.connection();
        let states = self.keys().into_iter().filter(|key| key.ends_with(":state"));
        let fields = states.flat_map(|key| connection.hkeys::<_, Vec<String>>(key).unwrap());
        fields.collect::<Vec<_>>().iter().any(|field| field.starts_with(first))
    }

    async fn until_ready(&self) {
        eventually("the store answers", || async {
            let client = redis::Client::open(self.url()).unwrap();
            client
                .get_connection()
                .is_ok_and(|mut connection| redis::cmd("PING").exec(&mut connection).is_ok())
        })
        .await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed.
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn spawn(address: &str, folder: &Folder, arguments: &[String]) -> Child {
    let (host, port) = address.split_once(':').unwrap();
    // A file comes first.
    Command::new("redis-server")
        .args(arguments)
        .args(["--bind", host, "--port", port, "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(&folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the Debian package redis-server is installed")
}
