//! The result, in Markdown.

use std::fmt;
use std::time::Duration;

use super::round::Round;
use super::server::Server;

/// The measurements of one server with one number of clients.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) clients: usize,
    pub(crate) server: &'a Server,
    pub(crate) rounds: Vec<Round>,
}

/// Renders the medians over the rounds, and over all rounds the highest number of calls and the longest wait.
pub(crate) fn render(rows: &[Row<'_>]) -> String {
    let head =
        "| clients | server | upstream calls | extra wait p50 | p99 | longest |\n|---|---|---|---|---|---|\n";
    rows.iter().fold(head.to_owned(), |table, row| format!("{table}{row}\n"))
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, server, rounds } = self;
        let calls = rounds.iter().map(|round| round.calls).max().unwrap_or_default();
        let waits = |percent| rounds.iter().map(move |round| round.percentile(percent));
        let (p50, p99) = (median(waits(50)), median(waits(99)));
        let longest = waits(100).max().unwrap_or_default();
        let [p50, p99, longest] = [p50, p99, longest].map(|wait| wait.as_secs_f64() * 1000.0);
        let name = server.contender.name;
        write!(formatter, "| {clients} | {name} | {calls} | {p50:.1} ms | {p99:.1} ms | {longest:.1} ms |")
    }
}

fn median(values: impl Iterator<Item = Duration>) -> Duration {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
