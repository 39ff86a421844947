//! Three gateways and their store (a primary with a replica and three sentinels, or a cluster of three), and their
//! faults.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use balance_gateway::sandbox::{Call, Kind, Operation, SimulatedProvider};
use fastrand::Rng;

use super::network::{HOME, Machine, Network};
use crate::clocks::faketime;
use crate::harness::{KEY, digest, eventually};
use crate::process::{BINARY, Folder, Gateway};
use crate::shared::fleet;

pub(super) const MAX_AGE: Duration = Duration::from_secs(30);
pub(super) const REQUESTS: usize = 150;
/// The calls without a demand that one of three gateways may make in a new epoch: 80 % of a third of the budget.
pub(super) const LOCAL_SHARE: usize = 40;
pub(super) const PER: Duration = Duration::from_mins(1);
/// Forwards a local port to the provider, because the gateway uses plain HTTP only to its own machine.
const FORWARD: &str = "
import asyncio, sys
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data); await writer.drain()
    except OSError: pass
    finally: writer.close()
async def serve(reader, writer):
    try: other = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    except OSError: writer.close(); return
    await asyncio.gather(pump(reader, other[1]), pump(other[0], writer))
async def main():
    async with await asyncio.start_server(serve, '127.0.0.1', 7000) as server: await server.serve_forever()
asyncio.run(main())
";

/// A server of the store on its own machine.
struct Server {
    machine: Machine,
    arguments: Vec<String>,
    folder: Folder,
    child: Option<Child>,
    is_stopped: bool,
}

pub(super) struct Machines {
    pub(super) gateways: Vec<Arc<Gateway>>,
    hosts: Vec<Machine>,
    servers: Vec<Server>,
    sentinels: Vec<Server>,
    provider: SimulatedProvider,
    forwarders: Vec<Child>,
    folder: Folder,
}

impl Server {
    fn start(machine: Machine, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        let mut server = Self { machine, arguments, folder: Folder::new(), child: None, is_stopped: false };
        server.restart();
        server
    }

    fn restart(&mut self) {
        if self.child.is_some() {
            return;
        }
        let mut command = self.machine.command("redis-server");
        command
            .args(&self.arguments)
            .args([
                "--bind",
                "0.0.0.0",
                "--protected-mode",
                "no",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(&self.folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("the Debian package redis-server is installed"));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal(&mut self, name: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
            self.is_stopped = name == "STOP";
        }
    }

    fn cli(&self, arguments: &str) -> String {
        let output = self.machine.command("redis-cli").args(arguments.split(' ')).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a clock that steps with this file.
fn faked(file: &str) -> [String; 5] {
    [
        format!("LD_PRELOAD={}", faketime().display()),
        format!("FAKETIME_TIMESTAMP_FILE={file}"),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
    ]
}

impl Machines {
    pub(super) async fn start(network: &Network, has_sentinels: bool) -> Self {
        let machine = || network.machine().unwrap();
        let provider =
            SimulatedProvider::start_at(Kind::NtxpayBr, format!("{HOME}:0").parse().unwrap()).await.unwrap();
        provider.set_drift(true);
        provider.accept_token("a-token");
        let (mut servers, mut sentinels, folder) = (Vec::new(), Vec::new(), Folder::new());
        let url = if has_sentinels {
            let primary = Server::start(machine(), &[]);
            let address = primary.machine.address.clone();
            servers = vec![primary, Server::start(machine(), &["--replicaof", &format!("{address} 6379")])];
            for _ in 0..3 {
                let config = folder.write(
                    &format!("sentinel-{}", sentinels.len()),
                    &format!(
                        "port 26379\nsentinel monitor main {address} 6379 2\n\
                         sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
                    ),
                );
                sentinels.push(Server::start(machine(), &[&config, "--sentinel"]));
            }
            let hosts = sentinels.iter().map(|it: &Server| format!("{}:26379", it.machine.address));
            format!("redis-sentinel://{}/main", hosts.collect::<Vec<_>>().join(","))
        } else {
            let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
            servers.extend((0..3).map(|_| Server::start(machine(), &arguments)));
            let hosts: Vec<_> =
                servers.iter().map(|it: &Server| format!("{}:6379", it.machine.address)).collect();
            eventually("the servers answer", || async {
                servers.iter().all(|server| server.cli("PING").contains("PONG"))
            })
            .await;
            let create = format!("--cluster create {} --cluster-replicas 0 --cluster-yes", hosts.join(" "));
            servers[0].cli(&create);
            eventually("every server says that the cluster works", || async {
                servers.iter().all(|server| server.cli("CLUSTER INFO").contains("cluster_state:ok"))
            })
            .await;
            format!("redis-cluster://{}", hosts.join(","))
        };
        let mut machines = Self {
            gateways: Vec::new(),
            hosts: Vec::new(),
            servers,
            sentinels,
            provider,
            forwarders: Vec::new(),
            folder,
        };
        for _ in 0..3 {
            let host = machine();
            let gateway = machines.gateway(&host, &url).await;
            machines.gateways.push(Arc::new(gateway));
            machines.hosts.push(host);
        }
        machines.until_sharing().await;
        machines
    }

    async fn gateway(&mut self, host: &Machine, url: &str) -> Gateway {
        let port = self.provider.addr().port().to_string();
        let mut forward = host.command("python3");
        self.forwarders.push(forward.args(["-c", FORWARD, HOME, &port]).spawn().unwrap());
        let connect = "import socket; socket.create_connection(('127.0.0.1', 7000))";
        eventually("the forwarder listens", || async {
            let tried = host.command("python3").args(["-c", connect]).stderr(Stdio::null()).status();
            tried.unwrap().success()
        })
        .await;
        let (key, token) = (self.folder.write("key", fleet::KEY), self.folder.write("token", "a-token"));
        let address = &host.address;
        let config = self.folder.write(
            &format!("gateway-{address}.toml"),
            &format!(
                "[server]\napi = \"{address}:8080\"\nops = \"{address}:9090\"\nreplicas = 3\n\
                 [freshness]\nfresh_for = \"5s\"\nmax_age = \"{}s\"\n\
                 [providers.ntxpay-br]\nkind = \"ntxpay-br\"\nbase_url = \"http://127.0.0.1:7000\"\n\
                 budget = {{ requests = {REQUESTS}, per = \"1m\" }}\n\
                 [accounts.treasury]\nprovider = \"ntxpay-br\"\ntoken = {{ file = \"{token}\" }}\n\
                 [callers.all]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
                 limit = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n\
                 [shared]\nurl = \"{url}\"\nkey = {{ file = \"{key}\" }}\ntimeout = \"100ms\"\n",
                MAX_AGE.as_secs(),
                digest(KEY)
            ),
        );
        let clock = self.folder.write(&format!("clock-{address}"), "+0");
        let mut command = host.command("env");
        command.args(faked(&clock)).arg(BINARY).args(["serve", "--config", &config]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let gateway = Gateway::run(command).await;
        eventually("the provider is reached through the forwarder", || async {
            gateway
                .get(&gateway.api, "/v1/accounts/treasury/balance")
                .await
                .is_ok_and(|reply| reply.status == 200)
        })
        .await;
        gateway
    }

    pub(super) async fn until_sharing(&self) {
        for gateway in &self.gateways {
            eventually("the replica shares", || async {
                let page = gateway.get(&gateway.ops, "/metrics").await;
                page.is_ok_and(|page| page.body.lines().any(|line| line == "balance_gateway_shared_state 1"))
            })
            .await;
        }
    }

    /// Causes one random fault, and returns its name.
    pub(super) fn break_something(&mut self, rng: &mut Rng) -> &'static str {
        let (host, server) = (rng.usize(0..self.hosts.len()), rng.usize(0..self.servers.len()));
        match rng.u32(0..9) {
            0 | 1 => {
                for server in &self.servers {
                    self.hosts[host].cut(&server.machine, true);
                }
                "a gateway is cut off from the store"
            }
            2 => {
                self.hosts[host].cut(&self.servers[server].machine, true);
                "a gateway is cut off from one server"
            }
            3 => {
                for other in self.servers.iter().chain(&self.sentinels) {
                    if other.machine.address != self.servers[server].machine.address {
                        other.machine.cut(&self.servers[server].machine, true);
                    }
                }
                "a server is cut off from the other servers and the sentinels"
            }
            4 => {
                self.servers[server].kill();
                "a server is killed"
            }
            5 => {
                self.servers[server].signal("STOP");
                "a server is stopped"
            }
            6 | 7 => {
                let (by, address) = (rng.i32(-20..=20), &self.hosts[host].address);
                self.folder.write(&format!("clock-{address}"), &format!("{by:+}"));
                "the clock of a gateway is set"
            }
            _ => {
                let delay = rng.u32(1..60);
                for host in &self.hosts {
                    host.disturb(delay);
                }
                if self.hosts[0].has_netem { "delay, loss and reordering" } else { "nothing" }
            }
        }
    }

    /// Repairs everything but the clocks, with a probability of one half.
    pub(super) fn mend(&mut self, rng: &mut Rng) {
        if rng.bool() {
            self.mend_all();
        }
    }

    pub(super) fn mend_all(&mut self) {
        for server in &mut self.servers {
            if server.is_stopped {
                server.signal("CONT");
            }
            server.restart();
        }
        let others: Vec<&Machine> =
            self.servers.iter().chain(&self.sentinels).map(|it| &it.machine).collect();
        for host in &self.hosts {
            host.disturb(0);
            for other in &others {
                host.cut(other, false);
            }
        }
        for one in &others {
            for other in &others {
                one.cut(other, false);
            }
        }
    }

    /// The balance calls that the provider received.
    pub(super) fn calls(&self) -> Vec<Call> {
        let mut calls = self.provider.calls();
        calls.retain(|call| call.operation == Operation::Balance);
        calls
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for forwarder in &mut self.forwarders {
            let _ = forwarder.kill();
            let _ = forwarder.wait();
        }
    }
}

/// How often each fault was drawn.
pub(super) fn counted(faults: Vec<&'static str>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for fault in faults {
        *counts.entry(fault).or_default() += 1;
    }
    counts
}
