//! Marks: the last invalidation of each balance, here or at another replica.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::domain::{BalanceKey, DigestState, Mark, MaxAge};

/// Entries idle for this long belong to removed accounts: each scrape of the metrics reads the entries of all others.
pub(super) const IDLE_LIFE: Duration = Duration::from_hours(24);

/// The marks of all balances; a mark is kept while an older snapshot may still be cached.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Arc<RwLock<HashMap<BalanceKey, KnownMark, DigestState>>>);

/// The mark of one balance.
#[derive(Clone, Copy, Debug)]
struct KnownMark {
    mark: Mark,
    /// The moment of the last invalidation here, until the store has given it a number. Until then, a number is of an
    /// earlier invalidation, and does not apply.
    unnumbered: Option<Instant>,
}

impl Marks {
    /// Marks balances now.
    pub(super) fn invalidate(&self, keys: &[BalanceKey], now: Instant) {
        let mut marks = self.write();
        // Marks are not dropped earlier: a request that arrived before a freeze of the process still needs its mark.
        marks.retain(|_, known| now.saturating_duration_since(known.mark.at) < IDLE_LIFE);
        for key in keys {
            marks.insert(*key, KnownMark { mark: Mark { at: now, number: None }, unnumbered: Some(now) });
        }
    }

    /// Adds the place in the shared store's order to marks made here at this moment or earlier.
    pub(super) fn number(&self, keys: &[BalanceKey], number: u64, at: Instant) {
        let mut marks = self.write();
        for key in keys {
            if let Some(KnownMark { mark, unnumbered }) = marks.get_mut(key) {
                mark.number = mark.number.max(Some(number));
                unnumbered.take_if(|made| *made <= at);
            }
        }
    }

    /// Stores a mark of another replica. A mark that is already known keeps its instant.
    pub(super) fn note(&self, key: BalanceKey, number: u64, now: Instant) {
        let mut marks = self.write();
        let new = KnownMark { mark: Mark { at: now, number: Some(number) }, unnumbered: None };
        let KnownMark { mark, .. } = marks.entry(key).or_insert(new);
        if mark.number != Some(number) {
            // A store that was reset counts from the start again: the higher number and the later moment apply.
            *mark = Mark { at: now, number: mark.number.max(Some(number)) };
        }
    }

    /// The marks without their places in the order of a former store.
    pub(super) fn without_numbers(&self) -> Self {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let unnumbered =
            |known: &KnownMark| KnownMark { mark: Mark { number: None, ..known.mark }, ..*known };
        let marks = marks.iter().map(|(key, known)| (*key, unnumbered(known)));
        Self(Arc::new(RwLock::new(marks.collect())))
    }

    /// The last invalidation of a balance; `None` if no older snapshot could be served any more.
    pub(super) fn get(&self, key: &BalanceKey, now: Instant) -> Option<Mark> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()?;
        let KnownMark { mark, unnumbered } = known;
        let number = mark.number.filter(|_| unnumbered.is_none());
        (now.saturating_duration_since(mark.at) < MaxAge::CEILING.get()).then_some(Mark { number, ..mark })
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<BalanceKey, KnownMark, DigestState>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use super::*;
    use crate::domain::{AccountName, Selector};

    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> BalanceKey {
        BalanceKey::new(&AccountName::parse("a").unwrap(), &[], &Selector::default())
    }

    #[test]
    fn a_mark_made_here_gets_the_stores_number_and_keeps_its_moment() {
        let (marks, key, start) = (Marks::default(), key(), Instant::now());
        marks.invalidate(&[key], start);

        marks.number(&[key], 7, start);

        assert_eq!(marks.get(&key, start), Some(Mark { at: start, number: Some(7) }));
    }

    #[test]
    fn a_repeated_mark_keeps_its_moment_and_a_lower_number_is_a_new_one() {
        let (marks, key, start) = (Marks::default(), key(), Instant::now());
        let later = start + SECOND;
        marks.note(key, 9, start);

        marks.note(key, 9, later);
        assert_eq!(marks.get(&key, later), Some(Mark { at: start, number: Some(9) }));

        marks.note(key, 7, later);
        assert_eq!(marks.get(&key, later), Some(Mark { at: later, number: Some(9) }));
    }

    #[test]
    fn an_earlier_number_does_not_apply_to_a_mark_made_here() {
        let (marks, key, start) = (Marks::default(), key(), Instant::now());
        let later = start + SECOND;
        marks.invalidate(&[key], start);

        marks.note(key, 7, later);
        assert_eq!(marks.get(&key, later), Some(Mark { at: later, number: None }));

        marks.number(&[key], 9, start);
        assert_eq!(marks.get(&key, later), Some(Mark { at: later, number: Some(9) }));
    }

    #[test]
    fn the_number_of_one_mark_does_not_apply_to_a_later_one() {
        let (marks, key, start) = (Marks::default(), key(), Instant::now());
        let later = start + SECOND;
        marks.invalidate(&[key], start);
        marks.invalidate(&[key], later);

        marks.number(&[key], 7, start);
        assert_eq!(marks.get(&key, later), Some(Mark { at: later, number: None }));

        marks.number(&[key], 9, later);
        assert_eq!(marks.get(&key, later), Some(Mark { at: later, number: Some(9) }));
    }
}
