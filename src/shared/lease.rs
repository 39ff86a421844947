//! The right to read a balance for every replica, and how it ends: with a snapshot, with a failure, or given up.

use std::sync::Arc;
use std::time::Duration;

use super::account::SharedAccount;
use super::calls::Unit;
use super::failure;
use super::script::Action;
use super::store::Argument;
use crate::domain::turn::micros;
use crate::domain::{Failure, MaxAge, Snapshot, Turn};

/// The right to read one balance. Dropped without an end, it is given up.
pub(super) struct Lease {
    account: Arc<SharedAccount>,
    balance: usize,
    token: String,
    /// Its number.
    pub(super) number: u64,
    credential: String,
    /// The first call, which came with it.
    pub(super) unit: Option<Unit>,
    has_ended: bool,
}

/// How a failed read is held for every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedHold {
    /// Whom it concerns.
    pub scope: HoldScope,
    /// The first length.
    pub first: Duration,
    /// The longest; longer than the first where each in a row doubles it.
    pub most: Duration,
}

/// Whom a hold concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldScope {
    /// Every balance of the account.
    Account,
    /// The one.
    Balance,
    /// Whoever has the same credential.
    Credential,
}

impl HoldScope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "a",
            Self::Balance => "b",
            Self::Credential => "c",
        }
    }
}

impl Lease {
    pub(super) fn new(
        account: Arc<SharedAccount>,
        balance: usize,
        token: String,
        number: u64,
        credential: String,
        unit: Unit,
    ) -> Self {
        let live = LiveLease { account: Arc::clone(&account), balance, number };
        account.shared.leases().insert(token.clone(), live);
        Self { account, balance, token, number, credential, unit: Some(unit), has_ended: false }
    }

    /// The place of the read, before it has brought anything.
    pub(super) fn turn(&self) -> Turn {
        let instant = self.unit.as_ref().and_then(|unit| unit.instant).unwrap_or_default();
        Turn { number: self.number, instant }
    }

    /// Ends it with the snapshot that it brought, behind whoever reads. One without a turn was read while the store was
    /// away, so nobody can tell its age: it is not published.
    pub(super) fn publish(mut self, snapshot: &Snapshot, max_age: MaxAge) {
        let balance = Arc::clone(&self.account.balances[self.balance]);
        let sealed =
            snapshot.turn().and_then(|turn| Some((turn, balance.seal.close(snapshot.body(), turn)?)));
        let Some((turn, sealed)) = sealed else { return };
        self.end();
        balance.note_snapshot(turn.number);
        let (account, token, credential) =
            (Arc::clone(&self.account), self.token.clone(), self.credential.clone());
        let shared = Arc::clone(&account.shared);
        shared.behind(async move {
            let arguments: [&dyn Argument; 8] = [
                &balance.name.as_str(),
                &token.as_str(),
                &turn.number,
                &turn.instant.as_micros(),
                &sealed.as_slice(),
                &micros(max_age.get()),
                &account.shared.channel.as_str(),
                &credential.as_str(),
            ];
            let keys = [account.state_key.as_str(), &account.calls_key, &balance.snapshot_key];
            let (store, mut patience) = (account.store(), account.store().patience());
            // Who waits for what nobody tells waits until its deadline.
            let _ = account.checked(store.run(Action::Publish, &keys, &arguments, &mut patience).await, None);
        });
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.account.shared.leases().remove(&self.token);
    }

    /// Ends it with a failure: for those who wait, and for those who come while it is held.
    pub(super) fn fail(mut self, failure: &Failure, hold: Option<SharedHold>) {
        self.end_without(&failure::to_text(failure.error), hold);
    }

    fn end_without(&mut self, failure: &str, hold: Option<SharedHold>) {
        self.end();
        let (account, number) = (Arc::clone(&self.account), self.number);
        let (token, credential) = (self.token.clone(), self.credential.clone());
        let (balance, failure) = (Arc::clone(&account.balances[self.balance]), failure.to_owned());
        let shared = Arc::clone(&account.shared);
        shared.behind(async move {
            let scope = hold.map_or("", |hold| hold.scope.as_str());
            let [first, most] = hold.map_or([0, 0], |hold| [micros(hold.first), micros(hold.most)]);
            let arguments: [&dyn Argument; 10] = [
                &balance.name.as_str(),
                &token.as_str(),
                &number,
                &failure.as_str(),
                &scope,
                &first,
                &most,
                &(most > first),
                &account.shared.channel.as_str(),
                &credential.as_str(),
            ];
            let (store, mut patience) = (account.store(), account.store().patience());
            let answered = store.run(Action::Fail, &account.keys(), &arguments, &mut patience).await;
            let _ = account.checked(answered, None);
        });
    }
}

/// A lease that has not ended.
pub(super) struct LiveLease {
    account: Arc<SharedAccount>,
    balance: usize,
    number: u64,
}

impl LiveLease {
    /// One whose number nobody was told.
    pub(super) fn untold(account: Arc<SharedAccount>, balance: usize) -> Self {
        Self { account, balance, number: 0 }
    }

    /// Gives it up.
    pub(super) async fn give_up(&self, token: &str) {
        let Self { account, balance, number } = self;
        let (store, balance) = (account.store(), &account.balances[*balance]);
        let none = "";
        let arguments: [&dyn Argument; 10] = [
            &balance.name.as_str(),
            &token,
            number,
            &none,
            &none,
            &0_u64,
            &0_u64,
            &false,
            &account.shared.channel.as_str(),
            &none,
        ];
        // Who waits for what nobody tells waits until its deadline.
        let _ = store.run(Action::Fail, &account.keys(), &arguments, &mut store.patience()).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end_without("", None);
        }
    }
}
