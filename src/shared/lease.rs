//! The right to read a balance for every replica, and how it ends: with a snapshot, with a failure, or given up.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::account::SharedAccount;
use super::calls::Unit;
use super::failure;
use super::live_lease::{FailAsk, LiveLease};
use super::script::Action;
use crate::domain::turn::micros;
use crate::domain::{Failure, MaxAge, Snapshot, Turn};

/// The right to read one balance. Dropped without an end, it is given up.
pub(super) struct Lease {
    account: Arc<SharedAccount>,
    balance: usize,
    token: String,
    /// Its number.
    pub(super) number: u64,
    /// The epoch of the grant: its instant is of that clock.
    epoch: String,
    credential: String,
    /// The first call, which came with it.
    pub(super) unit: Option<Unit>,
    has_ended: bool,
}

#[derive(Serialize)]
struct PublishAsk<'a> {
    balance: &'a str,
    lease: &'a str,
    turn: u64,
    instant: u64,
    epoch: &'a str,
    max_age: u64,
    channel: &'a str,
    credential: &'a str,
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

/// What the store granted.
pub(super) struct Grant {
    pub(super) account: Arc<SharedAccount>,
    pub(super) balance: usize,
    pub(super) token: String,
    pub(super) number: u64,
    pub(super) epoch: String,
    pub(super) credential: String,
    pub(super) first: Unit,
}

impl Lease {
    pub(super) fn new(grant: Grant) -> Self {
        let Grant { account, balance, token, number, epoch, credential, first } = grant;
        let live = account.live_lease(balance, number);
        account.tier.leases().insert(token.clone(), live);
        Self { account, balance, token, number, epoch, credential, unit: Some(first), has_ended: false }
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
        let epoch = self.epoch.clone();
        let tier = Arc::clone(&account.tier);
        tier.behind(async move {
            let ask = PublishAsk {
                balance: &balance.name,
                lease: &token,
                turn: turn.number,
                instant: turn.instant.as_micros(),
                epoch: &epoch,
                max_age: micros(max_age.get()),
                channel: &account.tier.channel,
                credential: &credential,
            };
            let keys = [account.state_key.as_str(), &account.calls_key, &balance.snapshot_key];
            let store = account.store();
            let answered = store.run_with(Action::Publish, &keys, &ask, &sealed, &mut store.wait()).await;
            // Waiters whom no message reaches wait until the lease's deadline.
            let _ = account.checked(answered, None);
        });
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.account.tier.leases().remove(&self.token);
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
        let tier = Arc::clone(&account.tier);
        tier.behind(async move {
            let scope = hold.map_or("", |hold| hold.scope.as_str());
            let [first, most] = hold.map_or([0, 0], |hold| [micros(hold.first), micros(hold.most)]);
            let ask = FailAsk {
                balance: &balance.name,
                lease: &token,
                turn: number,
                failure: &failure,
                scope,
                first,
                most,
                doubles: most > first,
                channel: &account.tier.channel,
                credential: &credential,
            };
            let store = account.store();
            let answered = store.run(Action::Fail, &account.keys(), &ask, &mut store.wait()).await;
            let _ = account.checked(answered, None);
        });
    }
}

impl SharedAccount {
    /// Publishes a snapshot that this replica read while the store was away: other replicas have an older one.
    ///
    /// Its instant is what the store's clock says after the snapshot was read, less its age: never later than the truth.
    /// The instant is its number, too, so that every mark that was made since is above it.
    pub(super) fn publish_alone(self: &Arc<Self>, index: usize, snapshot: Arc<Snapshot>, max_age: MaxAge) {
        let account = Arc::clone(self);
        self.tier.behind(async move {
            let Ok(looked) = account.look(index).await else { return };
            if !account.is_clock_trusted(max_age) {
                return;
            }
            let instant = looked.now.earlier_by(snapshot.age_at((account.store().clock)()));
            let turn = Turn { number: instant.as_micros(), instant };
            let balance = &account.balances[index];
            let Some(sealed) = balance.seal.close(snapshot.body(), turn) else { return };
            let epoch = account.known().epoch.clone();
            let ask = PublishAsk {
                balance: &balance.name,
                lease: "",
                turn: turn.number,
                instant: turn.instant.as_micros(),
                epoch: &epoch,
                max_age: micros(max_age.get()),
                channel: &account.tier.channel,
                credential: "",
            };
            let keys = [account.state_key.as_str(), &account.calls_key, &balance.snapshot_key];
            let store = account.store();
            let answered = store.run_with(Action::Publish, &keys, &ask, &sealed, &mut store.wait()).await;
            let _ = account.checked(answered, None);
        });
    }

    /// A lease of this account that has not ended.
    pub(super) fn live_lease(&self, balance: usize, number: u64) -> LiveLease {
        let keys = self.keys().map(str::to_owned);
        LiveLease { keys, balance: self.balances[balance].name.clone(), number }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end_without("", None);
        }
    }
}
