//! The part of a running lease that is needed to give it up.

use serde::Serialize;

use super::script::Action;
use super::store::Store;

/// A lease that has not ended.
pub(super) struct LiveLease {
    /// The account's keys in the store.
    pub(super) keys: [String; 2],
    /// The balance's name in the store.
    pub(super) balance: String,
    /// The name of the order in which the store counts the balance's reads.
    pub(super) order: String,
    /// The balances whose waiters are woken at the end.
    pub(super) waiting: Vec<String>,
    /// The read's number; 0 if the store's answer did not arrive.
    pub(super) number: u64,
}

/// The script's arguments: how a read without a snapshot ends.
#[derive(Serialize)]
pub(super) struct FailArguments<'a> {
    pub(super) balance: &'a str,
    pub(super) order: &'a str,
    pub(super) waiting: Vec<&'a str>,
    pub(super) lease: &'a str,
    pub(super) turn: u64,
    pub(super) failure: &'a str,
    pub(super) scope: &'a str,
    pub(super) first: u64,
    pub(super) most: u64,
    pub(super) doubles: bool,
    pub(super) channel: &'a str,
    pub(super) credential: &'a str,
}

impl LiveLease {
    /// Gives the lease up, so that another replica may read at once.
    pub(super) async fn give_up(&self, store: &Store, channel: &str, token: &str) {
        let Self { keys: [state, calls], balance, order, waiting, number } = self;
        let arguments = FailArguments {
            balance,
            order,
            waiting: waiting.iter().map(String::as_str).collect(),
            lease: token,
            turn: *number,
            failure: "",
            scope: "",
            first: 0,
            most: 0,
            doubles: false,
            channel,
            credential: "",
        };
        // If this fails, waiters wait until the lease expires.
        let _ = store.run(Action::Fail, &[state, calls], &arguments, &mut store.wait()).await;
    }
}
