//! One measurement: many clients, one cold key, one server.

use std::fmt;
use std::io;
use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, SimulatedProvider};
use tokio::time::timeout;

use super::clients;
use super::server::Server;

/// The amount that every answer must contain.
pub(crate) const AMOUNT: &str = "1234567.89";
/// How long the upstream takes for each answer, in milliseconds.
const UPSTREAM_MS: u64 = 1000;
/// A measurement takes little longer than the upstream; a server that needs more than this has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// The result of one measurement.
#[derive(Debug)]
pub(crate) struct Round {
    /// The number of calls to the upstream for this key.
    pub(crate) calls: usize,
    /// The time from the upstream's first answer to the end of each client's answer, shortest first.
    waits: Vec<Duration>,
}

impl Round {
    /// The wait that this percentage of the clients does not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        self.waits[(self.waits.len() * percent).div_ceil(100) - 1]
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, .. } = self;
        let (p50, p99, max) = (self.percentile(50), self.percentile(99), self.percentile(100));
        write!(formatter, "{calls} calls, extra wait {p50:.1?} {p99:.1?} {max:.1?}")
    }
}

/// Requests a key that no client has requested yet.
pub(crate) async fn measure(
    server: &Server,
    clients: usize,
    key: usize,
    provider: &SimulatedProvider,
) -> io::Result<Round> {
    let name = server.contender.name;
    let fail = |what: &str| io::Error::other(format!("{name}, {clients} clients: {what}"));
    let request = server.contender.request(key);
    let ask = async |clients| {
        let asked = timeout(DEADLINE, clients::ask(server.address, &request, clients)).await;
        asked.map_err(|_| fail("not answered in time"))?.map_err(|error| fail(&error.to_string()))
    };
    provider.clear_calls();
    provider.queue(Fault::on_balance(FaultKind::Delay { ms: UPSTREAM_MS }).times(u32::MAX));

    let asked = ask(clients).await;

    provider.clear_faults();
    let answers = asked?;
    let calls = provider.calls();
    let first = calls.iter().filter_map(|call| call.answered_at).min();
    let first = first.ok_or_else(|| fail("the upstream was not asked"))?;
    if let Some(wrong) = answers.iter().find(|answer| answer.status != 200 || !answer.body.contains(AMOUNT)) {
        return Err(fail(&format!("{wrong:?}")));
    }
    ask(1).await?;
    if provider.calls().len() > calls.len() {
        return Err(fail("the answer was not stored"));
    }
    let mut waits: Vec<_> = answers.iter().map(|answer| answer.at.saturating_duration_since(first)).collect();
    waits.sort_unstable();
    Ok(Round { calls: calls.len(), waits })
}
