//! Machines on one network: each is a network namespace with an address, joined to the others by a bridge.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// The address of this process on the network.
pub(super) const HOME: &str = "10.77.0.1";

/// The bridge, and whether its machines' packets can be delayed and lost. Everything is removed at the end.
pub(super) struct Network {
    bridge: String,
    pub(super) has_netem: bool,
}

/// One machine.
pub(super) struct Machine {
    name: String,
    pub(super) address: String,
    pub(super) has_netem: bool,
}

impl Network {
    /// Creates the bridge. The error says what this computer lacks.
    pub(super) fn new() -> Result<Self, String> {
        let bridge = format!("bg{}", std::process::id() % 100_000);
        ip(&format!("link add {bridge} type bridge"))?;
        let mut network = Self { bridge, has_netem: false };
        ip(&format!("addr add {HOME}/24 dev {}", network.bridge))?;
        ip(&format!("link set {} up", network.bridge))?;
        let netem = run("tc", &format!("qdisc add dev {} root netem delay 0ms", network.bridge));
        network.has_netem = netem.is_ok();
        if network.has_netem {
            run("tc", &format!("qdisc del dev {} root", network.bridge))?;
        }
        Ok(network)
    }

    /// A machine with the next address.
    pub(super) fn machine(&self) -> Result<Machine, String> {
        static NEXT: AtomicU8 = AtomicU8::new(10);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.bridge);
        let (outside, inside) = (format!("{}o{number}", self.bridge), format!("{}i{number}", self.bridge));
        ip(&format!("netns add {name}"))?;
        let machine =
            Machine { address: format!("10.77.0.{number}"), has_netem: self.has_netem, name: name.clone() };
        ip(&format!("link add {outside} type veth peer name {inside}"))?;
        ip(&format!("link set {inside} netns {name} name eth0"))?;
        ip(&format!("link set {outside} master {} up", self.bridge))?;
        machine.ip(&format!("addr add {}/24 dev eth0", machine.address))?;
        machine.ip("link set eth0 up")?;
        machine.ip("link set lo up")?;
        Ok(machine)
    }
}

impl Machine {
    /// A command that runs on this machine.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command.stdin(Stdio::null());
        command
    }

    /// Cuts the connection between this machine and the other, or restores it.
    pub(super) fn cut(&self, other: &Self, is_cut: bool) {
        let what = if is_cut { "add" } else { "del" };
        // Cutting twice, or restoring twice, changes nothing.
        let _ = self.ip(&format!("route {what} blackhole {}/32", other.address));
    }

    /// Delays, loses and reorders the packets that this machine sends. A delay of zero ends this.
    pub(super) fn disturb(&self, delay_ms: u32) {
        if self.has_netem {
            let rule = format!("delay {delay_ms}ms {}ms loss 2% reorder 20%", delay_ms / 2);
            let rule = if delay_ms == 0 { "delay 0ms".to_owned() } else { rule };
            let _ = self.run("tc", &format!("qdisc replace dev eth0 root netem {rule}"));
        }
    }

    fn ip(&self, arguments: &str) -> Result<(), String> {
        self.run("ip", arguments)
    }

    fn run(&self, program: &str, arguments: &str) -> Result<(), String> {
        finish(self.command(program).args(arguments.split(' ')), program)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.bridge));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &str) -> Result<(), String> {
    finish(Command::new(program).args(arguments.split(' ')), program)
}

fn finish(command: &mut Command, program: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}
