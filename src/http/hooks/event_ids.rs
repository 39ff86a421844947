//! The ids of proven notifications, to detect duplicates. They are kept for one day, up to a maximum number.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// How long an id is remembered.
const LIFE: Duration = Duration::from_hours(24);
/// Maximum of remembered ids; the oldest is dropped first. Each takes about 100 bytes.
const MOST: usize = 10_000;

/// The ids of one hook, as SHA-256, because an id may be as long as a request head.
#[derive(Debug, Default)]
pub(super) struct EventIds(Mutex<KnownIds>);

#[derive(Debug, Default)]
struct KnownIds {
    ids: HashSet<[u8; 32]>,
    /// The same ids, oldest first.
    by_age: VecDeque<([u8; 32], Instant)>,
}

impl EventIds {
    /// Remembers an id; false when it is known already.
    pub(super) fn remember(&self, id: &[u8], now: Instant) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget_old(now);
        let id: [u8; 32] = Sha256::digest(id).into();
        let is_new = known.ids.insert(id);
        if is_new {
            known.by_age.push_back((id, now));
        }
        is_new
    }
}

impl KnownIds {
    fn forget_old(&mut self, now: Instant) {
        while let Some((id, since)) = self.by_age.front()
            && (self.by_age.len() >= MOST || now.saturating_duration_since(*since) >= LIFE)
        {
            self.ids.remove(id);
            self.by_age.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_a_day() {
        let (ids, now) = (EventIds::default(), crate::clock::monotonic());

        assert!(ids.remember(b"a", now));
        assert!(!ids.remember(b"a", now + LIFE.saturating_sub(Duration::from_millis(1))));
        assert!(ids.remember(b"b", now));
        assert!(ids.remember(b"a", now + LIFE));
    }

    #[test]
    fn the_oldest_id_is_dropped_at_the_maximum() {
        let (ids, now) = (EventIds::default(), crate::clock::monotonic());
        for id in 0..=MOST {
            assert!(ids.remember(&id.to_be_bytes(), now));
        }

        assert_eq!(ids.0.lock().unwrap().ids.len(), MOST);
        assert!(!ids.remember(&MOST.to_be_bytes(), now));
        assert!(ids.remember(&0_usize.to_be_bytes(), now));
    }
}
