//! A real Alertmanager with the shipped configuration, and the receiver of its notifications.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::{self, eventually, is_long, retry_within};
use crate::process::Folder;
use crate::prometheus::replaced;

const CONFIG: &str = include_str!("../../config/prometheus/alertmanager.yml");
/// The addresses in the shipped configuration that an operator replaces.
const WEBHOOKS: &str = "http://127.0.0.1:9099/";
const SECRETS: &str = "/etc/alertmanager/secrets/";
/// Shorter waits than the shipped ones; the long run keeps the shipped ones.
const PACE: [(&str, &str); 2] =
    [("group_wait: 10s", "group_wait: 5s"), ("group_interval: 1m", "group_interval: 1s")];
/// Longer than any configured wait.
const TEST_TIMEOUT: Duration = Duration::from_mins(3);

/// One notification as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) at: Instant,
    /// The path of the receiver, such as `/treasury` or `/slack-treasury`.
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// An HTTP server that keeps every notification.
pub(crate) struct Receiver {
    addr: SocketAddr,
    received: Arc<Mutex<Vec<Notification>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Vec<Notification>>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(Arc::clone(&received));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { addr, received }
    }

    pub(crate) fn received(&self) -> Vec<Notification> {
        self.received.lock().unwrap().clone()
    }

    /// The notifications of one path.
    pub(crate) fn on(&self, path: &str) -> Vec<Notification> {
        self.received().into_iter().filter(|notification| notification.path == path).collect()
    }

    /// Waits for the first notification on a path that meets a condition.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Notification {
        let find = || async { self.on(path).into_iter().find(|found| wanted(&found.body)).ok_or(()) };
        let found = retry_within(TEST_TIMEOUT, find).await;
        found.unwrap_or_else(|()| panic!("no such notification on {path}: {:?}", self.received()))
    }
}

async fn receive(
    State(received): State<Arc<Mutex<Vec<Notification>>>>,
    uri: Uri,
    body: String,
) -> &'static str {
    let body = serde_json::from_str(&body).unwrap();
    received.lock().unwrap().push(Notification { at: Instant::now(), path: uri.path().to_owned(), body });
    "ok"
}

/// A running Alertmanager, killed at the end.
pub(crate) struct Alertmanager {
    child: Child,
    pub(crate) addr: SocketAddr,
    client: reqwest::Client,
    _folder: Folder,
}

impl Alertmanager {
    /// Starts an Alertmanager that notifies this receiver, and waits until it answers.
    pub(crate) async fn notifying(receiver: &Receiver) -> Self {
        let folder = Folder::new();
        let log = folder.0.join("log");
        let child = Command::new("prometheus-alertmanager")
            .arg(format!(
                "--config.file={}",
                folder.write("alertmanager.yml", &config(&folder, receiver.addr))
            ))
            .arg(format!("--storage.path={}", folder.0.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("alertmanager is needed: install the Debian package prometheus-alertmanager");
        let port = || harness::listening_port(&fs::read_to_string(&log).unwrap());
        eventually("Alertmanager listens", || async { port().is_some() }).await;
        let addr = SocketAddr::from(([127, 0, 0, 1], port().unwrap()));
        let alertmanager = Self { child, addr, client: harness::client().build().unwrap(), _folder: folder };
        eventually("Alertmanager is ready", || async { alertmanager.is_ready().await }).await;
        alertmanager
    }

    async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("http://{}/-/ready", self.addr)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Sends alerts as Prometheus does.
    pub(crate) async fn post(&self, alerts: &Value) {
        let request = self.client.post(format!("http://{}/api/v2/alerts", self.addr));
        let request = request.header("content-type", "application/json").body(alerts.to_string());
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    /// The alerts that the Alertmanager knows, each with its status.
    pub(crate) async fn alerts(&self) -> Vec<Value> {
        let answer = self.client.get(format!("http://{}/api/v2/alerts", self.addr)).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shipped configuration with the receiver's addresses.
fn config(folder: &Folder, receiver: SocketAddr) -> String {
    let mut config = replaced(CONFIG, WEBHOOKS, &format!("http://{receiver}/"));
    config = replaced(&config, SECRETS, &format!("{}/", folder.0.display()));
    for chat in ["slack-platform", "slack-treasury"] {
        folder.write(chat, &format!("http://{receiver}/{chat}"));
    }
    let pace = if is_long() { &[][..] } else { &PACE };
    pace.iter().fold(config, |config, (shipped, tested)| replaced(&config, shipped, tested))
}
