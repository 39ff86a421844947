//! The right to read a balance for every replica, and how it ends: with a snapshot, with a failure, or given up.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::account::SharedAccount;
use super::calls::CallGrant;
use super::failure;
use super::live_lease::{FailArguments, LiveLease};
use super::script::Action;
use crate::domain::turn::micros;
use crate::domain::{Failure, MaxAge, Snapshot, Turn};

/// The right to read one balance. If it is dropped without an end, it is given up.
pub(super) struct Lease {
    account: Arc<SharedAccount>,
    balance: usize,
    token: String,
    /// The read's number in the store's order.
    pub(super) number: u64,
    /// The epoch of the grant. After another epoch has begun, the snapshot is not stored.
    epoch: String,
    credential: String,
    /// The first call, granted with the lease.
    pub(super) grant: Option<CallGrant>,
    has_ended: bool,
}

#[derive(Serialize)]
struct PublishArguments<'a> {
    balances: Vec<&'a str>,
    order: &'a str,
    waiting: Vec<&'a str>,
    lease: &'a str,
    turn: u64,
    instant: u64,
    epoch: &'a str,
    max_age: u64,
    channel: &'a str,
    credential: &'a str,
}

/// How long a failed read is held, for every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedHold {
    /// The scope: which reads it prevents.
    pub scope: HoldScope,
    /// The first length.
    pub first: Duration,
    /// The longest length. It is above the first if each failure in a row doubles the hold.
    pub most: Duration,
}

/// The reads that a hold prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldScope {
    /// Every balance of the account.
    Account,
    /// Only this balance.
    Balance,
    /// Every read with the same credential.
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

/// The store's grant.
pub(super) struct LeaseGrant {
    pub(super) account: Arc<SharedAccount>,
    pub(super) balance: usize,
    pub(super) token: String,
    pub(super) number: u64,
    pub(super) epoch: String,
    pub(super) credential: String,
    pub(super) first: CallGrant,
}

impl Lease {
    pub(super) fn new(grant: LeaseGrant) -> Self {
        let LeaseGrant { account, balance, token, number, epoch, credential, first } = grant;
        let live = account.live_lease(balance, number);
        account.tier.leases().insert(token.clone(), live);
        Self { account, balance, token, number, epoch, credential, grant: Some(first), has_ended: false }
    }

    /// The turn of the read, before it has an answer.
    pub(super) fn turn(&self) -> Turn {
        let instant = self.grant.as_ref().and_then(|grant| grant.instant).unwrap_or_default();
        Turn { number: self.number, instant }
    }

    /// Publishes the snapshots of the read's answer and ends the lease, in the background. `others` are the other
    /// balances that the answer held. A snapshot without a turn is not published, because its age by the store's clock
    /// is unknown.
    pub(super) fn publish(mut self, snapshot: &Snapshot, others: &[(usize, Arc<Snapshot>)], max_age: MaxAge) {
        let Some(turn) = snapshot.turn() else { return };
        let seal = |index: usize, snapshot: &Snapshot| {
            let sealed = self.account.balances[index].seal.close(snapshot.body(), turn)?;
            Some((index, sealed))
        };
        let Some(own) = seal(self.balance, snapshot) else { return };
        let others = others.iter().filter(|(_, other)| other.turn() == Some(turn));
        let others = others.filter_map(|(index, other)| seal(*index, other));
        let (indexes, sealed): (Vec<usize>, Vec<_>) = std::iter::once(own).chain(others).unzip();
        self.end();
        for index in &indexes {
            self.account.balances[*index].note_snapshot(turn.number);
        }
        let index = self.balance;
        let (account, token, credential) =
            (Arc::clone(&self.account), self.token.clone(), self.credential.clone());
        let epoch = self.epoch.clone();
        let tier = Arc::clone(&account.tier);
        tier.in_background(async move {
            let balances: Vec<_> = indexes.iter().map(|index| &account.balances[*index]).collect();
            let arguments = PublishArguments {
                balances: balances.iter().map(|balance| balance.name.as_str()).collect(),
                order: account.order(index),
                waiting: account.woken(index),
                lease: &token,
                turn: turn.number,
                instant: turn.instant.as_micros(),
                epoch: &epoch,
                max_age: micros(max_age.get()),
                channel: &account.tier.channel,
                credential: &credential,
            };
            let mut keys = account.keys().to_vec();
            keys.extend(balances.iter().map(|balance| balance.snapshot_key.as_str()));
            let store = account.store();
            let answered =
                store.run_with(Action::Publish, &keys, &arguments, sealed, &mut store.wait()).await;
            // If this fails, waiters wait until the lease expires.
            let _ = account.checked(answered, None);
        });
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.account.tier.leases().remove(&self.token);
    }

    /// Ends the lease with a failure, for its waiters and for all reads during the hold.
    pub(super) fn fail(mut self, failure: &Failure, hold: Option<SharedHold>) {
        self.end_without(&failure::to_text(failure.error), hold);
    }

    fn end_without(&mut self, failure: &str, hold: Option<SharedHold>) {
        self.end();
        let (account, number) = (Arc::clone(&self.account), self.number);
        let (token, credential) = (self.token.clone(), self.credential.clone());
        let (index, failure) = (self.balance, failure.to_owned());
        let tier = Arc::clone(&account.tier);
        tier.in_background(async move {
            let scope = hold.map_or("", |hold| hold.scope.as_str());
            let [first, most] = hold.map_or([0, 0], |hold| [micros(hold.first), micros(hold.most)]);
            let arguments = FailArguments {
                balance: &account.balances[index].name,
                order: account.order(index),
                waiting: account.woken(index),
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
            let answered = store.run(Action::Fail, &account.keys(), &arguments, &mut store.wait()).await;
            let _ = account.checked(answered, None);
        });
    }
}

impl SharedAccount {
    /// Publishes a snapshot that this replica read while the store was unavailable: other replicas have an older one.
    ///
    /// Its instant is the store's clock after the read, minus the snapshot's age: never later than the true instant.
    /// The instant is also its number, so that every later mark has a higher one.
    pub(super) fn publish_alone(self: &Arc<Self>, index: usize, snapshot: Arc<Snapshot>, max_age: MaxAge) {
        let account = Arc::clone(self);
        self.tier.in_background(async move {
            let Ok(looked) = account.look(index).await else { return };
            if !account.is_clock_trusted(max_age) {
                return;
            }
            let instant = looked.now.earlier_by(snapshot.age_at((account.store().clock)()));
            let turn = Turn { number: instant.as_micros(), instant };
            let balance = &account.balances[index];
            let Some(sealed) = balance.seal.close(snapshot.body(), turn) else { return };
            let epoch = account.known().epoch.clone();
            let arguments = PublishArguments {
                balances: vec![&balance.name],
                order: account.order(index),
                waiting: Vec::new(),
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
            let answered =
                store.run_with(Action::Publish, &keys, &arguments, vec![sealed], &mut store.wait()).await;
            let _ = account.checked(answered, None);
        });
    }

    /// The part of a lease that is needed to give it up.
    pub(super) fn live_lease(&self, balance: usize, number: u64) -> LiveLease {
        LiveLease {
            keys: self.keys().map(str::to_owned),
            balance: self.balances[balance].name.clone(),
            order: self.order(balance).to_owned(),
            waiting: self.woken(balance).into_iter().map(str::to_owned).collect(),
            number,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end_without("", None);
        }
    }
}
