//! The fault matrix: each kind of provider × each fault of the simulated providers × what is cached, and for each
//! the answers to callers, the counters, and the calls that the provider sees. Real sockets, real gateway.
//!
//! The tables are kept beside this file in `fault_matrix/*.snap`; a difference fails the test and is printed. To accept
//! an intended difference, run `INSTA_UPDATE=always cargo test --test api fault_matrix`, and read what changed.

mod cell;
mod counters;
mod faults;
mod front;
mod stage;
mod table;
mod time;

use futures_util::future::join_all;

use cell::{Cached, Cell};
use faults::FaultCase;
use table::Table;

/// Gateways that run at once. Each has about thirty open files; together they stay below the usual limit.
const BALANCES_AT_ONCE: usize = 10;
const TOKENS_AT_ONCE: usize = 8;
const CONNECTIONS_AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_balance_call_has_its_row() {
    assert_kept("balance_calls", &table(faults::of_balance_calls(), BALANCES_AT_ONCE).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_token_call_has_its_row() {
    assert_kept("token_calls", &table(faults::of_token_calls(), TOKENS_AT_ONCE).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_connection_has_its_row() {
    assert_kept("connections", &table(faults::of_connections(), CONNECTIONS_AT_ONCE).await);
}

#[track_caller]
fn assert_kept(name: &str, table: &Table) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("fault_matrix");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, table));
}

/// Runs the cells in groups, because all tokens of a group expire at the same moment.
async fn table(cases: Vec<FaultCase>, at_once: usize) -> Table {
    let cells = cases.into_iter().flat_map(|case| Cached::ALL.map(|cached| (case.clone(), cached)));
    let cells: Vec<_> = cells.collect();
    let mut rows = Vec::new();
    for group in cells.chunks(at_once) {
        let prepare = |(case, cached): &(FaultCase, Cached)| Cell::prepare(case.clone(), *cached);
        let prepared = all(group.iter().map(prepare)).await;
        if group.iter().any(|(case, _)| case.is_of_token_calls()) {
            time::expire_tokens();
        }
        rows.extend(all(prepared.into_iter().map(Cell::row)).await);
    }
    Table(rows)
}

/// Runs these at the same time, each in a separate task.
async fn all<F: Future<Output: Send + 'static> + Send + 'static>(
    tasks: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let ended = join_all(tasks.map(tokio::spawn)).await;
    ended.into_iter().map(Result::unwrap).collect()
}
