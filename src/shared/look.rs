//! Looks at a balance in the store: the state of its order, and the snapshot of another replica.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::account::SharedAccount;
use super::balance::SharedBalance;
use super::error::StoreError;
use super::script::Action;
use super::store::{Answered, StoreWait};
use crate::domain::{MaxAge, Moment, OrderState, Snapshot, StoreTime, Ticket, Turn};
use crate::metrics::{SharedError, SharedOperation};

/// The largest accepted difference between the store's clock and the wall clock of a replica that did not watch it.
const MOST_DIFFERENCE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct LookArguments<'a> {
    balance: &'a str,
    order: &'a str,
    wants_snapshot: bool,
}

/// The state of a balance in the store.
pub(super) struct Looked {
    /// The number of the last read.
    pub(super) last: u64,
    /// The number of the last mark; 0 if there is none.
    pub(super) mark: u64,
    /// The store's clock.
    pub(super) now: StoreTime,
}

impl SharedAccount {
    /// The state of a balance's order, read after this call began.
    pub(super) async fn ticket(&self, index: usize, max_age: MaxAge) -> Option<OrderState> {
        let looked = self.look(index).await.ok()?;
        // A store that lost data does not know the highest number.
        self.balances[index].note_number(looked.last);
        let last = self.highest(index);
        let is_clock_trusted = self.is_clock_trusted(max_age);
        Some(OrderState { last, now: looked.now, is_clock_trusted })
    }

    pub(super) async fn look(&self, index: usize) -> Result<Looked, StoreError> {
        let balance = &self.balances[index];
        let keys = [self.state_key.as_str(), &balance.snapshot_key];
        let (store, arguments) = (
            self.store(),
            LookArguments { balance: &balance.name, order: self.order(index), wants_snapshot: false },
        );
        let answered = store.run(Action::Look, &keys, &arguments, &mut store.wait()).await;
        let answer = self.checked(answered, None)?.answer;
        let last = answer.number(0)?;
        balance.note_last_at_join(last);
        Ok(Looked { last, mark: answer.number(1)?, now: answer.now })
    }

    /// The stored snapshot that this ticket accepts, if it may still be served.
    pub(super) async fn stored(
        &self,
        balance: usize,
        ticket: Ticket,
        max_age: MaxAge,
    ) -> Option<Arc<Snapshot>> {
        self.find_snapshot(balance, ticket, max_age, &mut self.store().wait()).await.ok()
    }

    /// The snapshot of another replica, if it is acceptable.
    pub(super) async fn find_snapshot(
        &self,
        index: usize,
        ticket: Ticket,
        max_age: MaxAge,
        wait: &mut StoreWait,
    ) -> Result<Arc<Snapshot>, StoreError> {
        let balance = &self.balances[index];
        let keys = [self.state_key.as_str(), &balance.snapshot_key];
        let arguments =
            LookArguments { balance: &balance.name, order: self.order(index), wants_snapshot: true };
        let answered = self.store().run(Action::Look, &keys, &arguments, wait).await;
        let answered = self.checked(answered, Some(index))?;
        let answer = &answered.answer;
        let (number, instant) = (answer.number(2)?, StoreTime::from_micros(answer.number(3)?));
        let is_acceptable = ticket.accepts(Turn { number, instant })
            && number > answer.number(1)?
            && instant <= answer.now
            && max_age.allows(answer.now.since(instant))
            && self.is_clock_trusted(max_age);
        let found = if is_acceptable { self.decrypt_snapshot((index, max_age), &answered, 2)? } else { None };
        found.ok_or(StoreError(SharedError::Refused))
    }

    /// Whether the store's clock shows the true ages of stored snapshots.
    pub(super) fn is_clock_trusted(&self, max_age: MaxAge) -> bool {
        self.known().clock.is_trusted(self.now(), max_age)
    }

    /// Decrypts the snapshot whose number, instant and value begin at `field` of an answer. Returns `None` if
    /// it is older than `max_age` by any clock, or if its age is unknown. A snapshot that cannot be decrypted is
    /// counted and deleted.
    pub(super) fn decrypt_snapshot(
        &self,
        (balance, max_age): (usize, MaxAge),
        answered: &Answered,
        field: usize,
    ) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let balance = &self.balances[balance];
        let lost_since = |instant| self.known().clock.lost_since(instant);
        let Some(snapshot) = balance.decrypt_snapshot(answered, field, lost_since)? else {
            self.store().metrics.failed(SharedOperation::Lookup, SharedError::Invalid);
            self.tier.forget(vec![balance.snapshot_key.clone()]);
            return Ok(None);
        };
        let now = (self.store().clock)();
        let is_within = max_age.allows(snapshot.age_at(now));
        Ok((is_within && self.has_known_age(balance, &snapshot, now)).then(|| Arc::new(snapshot)))
    }

    /// Whether the store's clock proves the snapshot's age. For a snapshot from before this replica joined, the wall
    /// clocks of both replicas must agree with it.
    fn has_known_age(&self, balance: &SharedBalance, snapshot: &Snapshot, now: Moment) -> bool {
        let watched_since = self.known().clock.watched_since();
        let is_watched = |turn: Turn| turn.instant >= watched_since && balance.began_since_join(turn.number);
        snapshot.turn().is_some_and(is_watched) || snapshot.age_difference_at(now) <= MOST_DIFFERENCE
    }
}
