//! One balance in the store: its encrypted snapshot, and the waiters that are woken when a read of it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::error::StoreError;
use super::keyring::Seal;
use super::store::Answered;
use crate::domain::{BalanceKey, Snapshot, StoreTime, Turn};

/// Stands for an unknown number: it is above the number of every read.
const UNKNOWN: u64 = u64::MAX;

/// One balance in the store.
pub(super) struct SharedBalance {
    pub(super) key: BalanceKey,
    /// Its name in the store.
    pub(super) name: String,
    pub(super) snapshot_key: String,
    pub(super) seal: Seal,
    /// The number of the last read that ended.
    ended: watch::Sender<u64>,
    /// The highest number of a snapshot that this replica has seen. A stored snapshot with a lower number is rejected,
    /// because an attacker put it back.
    newest: AtomicU64,
    /// The highest number of a read that this replica has seen, in case the store loses it.
    highest: AtomicU64,
    /// The number of the last read when this replica joined, or [`UNKNOWN`]. A later step of the store's clock does not
    /// change it: the account's `ClockWatch` sees that step and corrects the ages.
    last_at_join: AtomicU64,
}

impl SharedBalance {
    pub(super) fn new(key: BalanceKey, name: String, snapshot_key: String, seal: Seal) -> Self {
        Self {
            key,
            name,
            snapshot_key,
            seal,
            ended: watch::Sender::new(0),
            newest: AtomicU64::new(0),
            highest: AtomicU64::new(0),
            last_at_join: AtomicU64::new(UNKNOWN),
        }
    }

    /// Records the number of the last read. Only the first call counts: it is the nearest to the join.
    pub(super) fn note_last_at_join(&self, number: u64) {
        // It is an error if a number is known, which is the usual case.
        let _ = self.last_at_join.compare_exchange(UNKNOWN, number, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether a read with this number certainly began after this replica joined. Its instant does not prove that: if
    /// the store's clock was set back before the join, reads from before the join may have later instants.
    pub(super) fn began_since_join(&self, number: u64) -> bool {
        number > self.last_at_join.load(Ordering::Acquire)
    }

    /// Wakes the waiters: the read with this number has ended.
    pub(super) fn note_end(&self, number: u64) {
        self.ended.send_if_modified(|ended| {
            let is_later = number > *ended;
            *ended = number.max(*ended);
            is_later
        });
    }

    /// Subscribes to the number of the last read that ended.
    pub(super) fn ends(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Records the number of a read, and returns the highest seen number.
    pub(super) fn note_number(&self, number: u64) -> u64 {
        self.highest.fetch_max(number, Ordering::AcqRel).max(number)
    }

    /// Forgets numbers above this one.
    pub(super) fn forget_numbers_above(&self, latest: u64) {
        for (number, forgotten) in [(&self.newest, 0), (&self.highest, 0), (&self.last_at_join, UNKNOWN)] {
            let forget = |number| (number > latest).then_some(forgotten);
            // It is an error if the number is not above `latest`, which is the usual case.
            let _ = number.fetch_update(Ordering::AcqRel, Ordering::Acquire, forget);
        }
    }

    /// Records the number of a snapshot. Returns false if a newer snapshot was already seen.
    pub(super) fn note_snapshot(&self, number: u64) -> bool {
        self.newest.fetch_max(number, Ordering::AcqRel) <= number
    }

    /// Decrypts the snapshot whose number, instant and value begin at `field` of an answer. Returns `None` if
    /// it was not encrypted for this key and turn, or if a newer snapshot was already seen. `lost_since` returns how
    /// far the store's clock was set back after an instant.
    pub(super) fn decrypt_snapshot(
        &self,
        answered: &Answered,
        field: usize,
        lost_since: impl Fn(StoreTime) -> Duration,
    ) -> Result<Option<Snapshot>, StoreError> {
        let Answered { answer, sent, .. } = answered;
        let instant = StoreTime::from_micros(answer.number(field + 1)?);
        let turn = Turn { number: answer.number(field)?, instant };
        let Ok(body) = self.seal.open(answer.bytes(field + 2)?, turn) else { return Ok(None) };
        self.note_number(turn.number);
        if !self.note_snapshot(turn.number) {
            return Ok(None);
        }
        // The age counts from before the script was sent, because the answer may have been slow.
        let age = answer.now.since(turn.instant) + lost_since(turn.instant);
        let requested_at = sent.earlier_by(age);
        Ok(Snapshot::restored(body, requested_at, turn).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::Value;

    use crate::clock;
    use crate::domain::{AccountName, Amount, Currency, Moment, ObservedAt, ProviderName, Reading, Selector};
    use crate::shared::keyring::Keyring;
    use crate::shared::script::ScriptAnswer;

    fn balance() -> SharedBalance {
        let key = BalanceKey::new(&AccountName::parse("a").unwrap(), &["p"], &Selector::default());
        let secret = secrecy::SecretBox::new(Box::new([1; 32]));
        let seal = Keyring::new(&[std::sync::Arc::new(secret)]).unwrap().seal(&key, "b".to_owned());
        SharedBalance::new(key, "b".to_owned(), "p:{t}:b".to_owned(), seal)
    }

    #[test]
    fn an_older_snapshot_is_rejected_after_a_newer_one() {
        let balance = balance();

        assert!(balance.note_snapshot(7));
        assert!(balance.note_snapshot(7), "the same number again");
        assert!(balance.note_snapshot(9));
        assert!(!balance.note_snapshot(8));
    }

    #[test]
    fn only_reads_after_the_first_known_number_began_since_the_join() {
        let balance = balance();
        assert!(!balance.began_since_join(7), "no number is known yet");

        balance.note_last_at_join(7);
        balance.note_last_at_join(9);
        assert!(!balance.began_since_join(7));
        assert!(balance.began_since_join(8));

        balance.forget_numbers_above(6);
        assert!(!balance.began_since_join(8), "the number was from another store");
    }

    /// What the script found: a snapshot of this number.
    fn found(balance: &SharedBalance, number: u64, now: Moment) -> Answered {
        let reading = Reading {
            available: Amount::parse("48734.90", Currency::BRL).unwrap(),
            blocked: None,
            reserved: None,
            processing: None,
            total: None,
            reported: Vec::new(),
            observed_at: ObservedAt::Undocumented,
        };
        let (account, provider) = (AccountName::parse("a").unwrap(), ProviderName::parse("p").unwrap());
        let snapshot = Snapshot::new(&account, &provider, None, now, reading);
        let turn = Turn { number, instant: StoreTime::from_micros(number) };
        let sealed = balance.seal.close(snapshot.body(), turn).unwrap();
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let number = number.to_string();
        let items = [text("balance-gateway/1"), text("10"), text("found"), text(&number), text(&number)];
        let answer = ScriptAnswer::read(Value::Array([&items[..], &[Value::BulkString(sealed)]].concat()));
        Answered { answer: answer.unwrap(), sent: now, received: now.monotonic }
    }

    #[test]
    fn a_snapshot_that_was_put_back_over_a_newer_one_does_not_open() {
        let (balance, now) = (balance(), clock::now());
        let opens = |number| {
            let found = found(&balance, number, now);
            balance.decrypt_snapshot(&found, 0, |_| Duration::ZERO).unwrap().is_some()
        };

        assert!(opens(9));
        assert!(!opens(7));
        assert!(opens(9), "the same once more");
    }

    #[test]
    fn a_late_subscriber_sees_the_last_read_that_ended() {
        let balance = balance();
        balance.note_end(7);
        balance.note_end(6);

        assert_eq!(*balance.ends().borrow(), 7);
    }
}
