//! The latest entry of each balance, for hits: moka records each look-up for its expiry, which costs more than the
//! look-up itself.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};

use super::entry::Entry;
use crate::domain::{BalanceKey, DigestState};

/// The latest entries; clones share them. moka owns the entries: an entry that moka drops disappears here, too.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest(Arc<RwLock<HashMap<BalanceKey, Weak<Entry>, DigestState>>>);

impl Latest {
    /// Notes an entry that the cache is about to store.
    pub(super) fn set(&self, key: BalanceKey, entry: &Arc<Entry>) {
        let mut entries = self.write();
        if entries.len() == entries.capacity() {
            // Before the map grows, remove the entries that moka no longer holds.
            entries.retain(|_, entry| entry.strong_count() > 0);
        }
        entries.insert(key, Arc::downgrade(entry));
    }

    /// The latest entry of a balance, if it is stored.
    pub(super) fn get(&self, key: &BalanceKey) -> Option<Arc<Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key)?.upgrade()
    }

    /// Forgets a balance.
    pub(super) fn remove(&self, key: &BalanceKey) {
        self.write().remove(key);
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<BalanceKey, Weak<Entry>, DigestState>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use std::time::Instant;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::{AccountName, Answer, Failure, Moment, Priority, Selector};

    fn key(account: usize) -> BalanceKey {
        let name = AccountName::parse(&format!("account-{account}")).unwrap();
        BalanceKey::new(&name, &[], &Selector::default())
    }

    fn entry() -> Arc<Entry> {
        let now = Moment { monotonic: Instant::now(), wall: Timestamp::UNIX_EPOCH };
        let (priority, sent_at) = (Priority::Plain, now.monotonic);
        let answer = Answer {
            priority,
            sent_at,
            turn: None,
            is_from_other_replica: false,
            result: Err(Failure::DEFECT),
        };
        Arc::new(Entry::after(None, answer, None, now))
    }

    #[test]
    fn the_latest_entry_is_found_until_it_is_dropped_or_removed() {
        let (latest, first, second) = (Latest::default(), entry(), entry());
        let is = |entry: &Arc<Entry>| latest.get(&key(1)).is_some_and(|found| Arc::ptr_eq(&found, entry));

        latest.set(key(1), &first);
        assert!(is(&first) && latest.get(&key(2)).is_none());
        latest.set(key(1), &second);
        assert!(is(&second));
        drop(second);
        assert!(latest.get(&key(1)).is_none());

        latest.set(key(1), &first);
        latest.remove(&key(1));
        assert!(latest.get(&key(1)).is_none());
    }

    #[test]
    fn dropped_entries_do_not_make_the_map_grow() {
        let latest = Latest::default();

        for account in 0..1000 {
            latest.set(key(account), &entry());
        }

        assert!(latest.write().len() < 10);
    }
}
