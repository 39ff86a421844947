//! A real Prometheus with the shipped configuration and rules; it scrapes one gateway.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use url::Url;

use crate::harness::{self, eventually, is_long, listening_port};
use crate::process::Folder;

const CONFIG: &str = include_str!("../../config/prometheus/prometheus.yml");
const RULES: [(&str, &str); 2] = [
    ("recording.yml", include_str!("../../config/prometheus/recording.yml")),
    ("alerts.yml", include_str!("../../config/prometheus/alerts.yml")),
];
/// The addresses in the shipped configuration; a test puts its own in their place.
const TARGET: &str = r#"targets: ["127.0.0.1:9090"]"#;
const ALERTMANAGER: &str = r#"targets: ["127.0.0.1:9093"]"#;
/// Shorter intervals than the shipped ones.
const PACE: [(&str, &str); 2] = [
    ("scrape_interval: 15s", "scrape_interval: 250ms"),
    ("evaluation_interval: 15s", "evaluation_interval: 1s"),
];

/// A running Prometheus, killed on drop.
pub(crate) struct Prometheus {
    child: Child,
    url: Url,
    client: reqwest::Client,
    _folder: Folder,
}

impl Prometheus {
    /// Starts one that scrapes this operations port, and waits until it answers.
    pub(crate) async fn scraping(ops: SocketAddr) -> Self {
        Self::start(ops, "targets: []", &PACE).await
    }

    /// The same, with alerts sent to this Alertmanager; in the long run at the shipped intervals.
    pub(crate) async fn alerting(ops: SocketAddr, alertmanager: SocketAddr) -> Self {
        let pace = if is_long() { &[][..] } else { &PACE };
        Self::start(ops, &format!("targets: [\"{alertmanager}\"]"), pace).await
    }

    async fn start(ops: SocketAddr, alertmanager: &str, pace: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        // With the label that an operator adds.
        let target = format!("targets: [\"{ops}\"]\n        labels: {{namespace: payments}}");
        let config = [(TARGET, target.as_str()), (ALERTMANAGER, alertmanager)]
            .iter()
            .chain(pace)
            .fold(CONFIG.to_owned(), |config, (shipped, tested)| replaced(&config, shipped, tested));
        for (name, rules) in RULES {
            folder.write(name, rules);
        }
        let log = folder.0.join("log");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.write("prometheus.yml", &config)))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("prometheus is needed: install the Debian package of that name");
        let client = harness::client().build().unwrap();
        let mut prometheus =
            Self { child, url: Url::parse("http://127.0.0.1/").unwrap(), client, _folder: folder };
        let port = || listening_port(&fs::read_to_string(&log).unwrap());
        eventually("Prometheus listens", || async { port().is_some() }).await;
        prometheus.url.set_port(port()).unwrap();
        eventually("Prometheus is ready", || async { prometheus.get("-/ready", "").await.is_ok() }).await;
        prometheus
    }

    /// The series that an expression finds.
    pub(crate) async fn query(&self, expression: &str) -> Vec<Value> {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("query", expression).finish();
        let found = self.get("api/v1/query", &query).await;
        let found = found.unwrap_or_else(|said| panic!("{expression}: {said}"));
        found["data"]["result"].as_array().unwrap().clone()
    }

    /// The rules of all groups, with the results of their last evaluation.
    pub(crate) async fn rules(&self) -> Vec<Value> {
        let found = self.get("api/v1/rules", "").await.unwrap();
        let groups = found["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// A page as JSON (null for other content), or Prometheus' error message.
    async fn get(&self, path: &str, query: &str) -> Result<Value, String> {
        let mut url = self.url.join(path).unwrap();
        url.set_query(Some(query));
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        if status.is_success() { Ok(serde_json::from_str(&body).unwrap_or_default()) } else { Err(body) }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shipped configuration with another text in one place, which must be there.
#[track_caller]
pub(crate) fn replaced(config: &str, shipped: &str, tested: &str) -> String {
    assert!(config.contains(shipped), "no {shipped} in the shipped configuration");
    config.replace(shipped, tested)
}
