//! The credential of an account through its rotations: a newer one that the provider refuses does not take the account
//! down while the one before it still works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The credential before the newest is kept for this long, unless the newest works.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// Time between two trials of a newest credential that was refused.
const TRIED_EVERY: Duration = Duration::from_mins(1);

/// The credential of one account, with the previous one during a rotation.
#[derive(Debug)]
pub(in crate::upstream) struct Rotation<C>(Mutex<State<C>>);

#[derive(Debug)]
struct State<C> {
    newest: Arc<C>,
    has_worked: bool,
    before: Option<Before<C>>,
}

/// The credential that was in use when the newest came.
#[derive(Debug)]
struct Before<C> {
    credential: Arc<C>,
    until: Instant,
    /// When the newest was tried last, if it was refused.
    refused_at: Option<Instant>,
}

impl<C: PartialEq> Rotation<C> {
    pub(in crate::upstream) fn new(credential: C) -> Self {
        Self(Mutex::new(State { newest: Arc::new(credential), has_worked: false, before: None }))
    }

    /// Takes a newer credential of the same identity into use. Returns false, and changes nothing, if it is equal to
    /// the newest.
    pub(in crate::upstream) fn replace(&self, credential: C, now: Instant) -> bool {
        let mut state = self.current(now);
        if *state.newest == credential {
            return false;
        }
        let reverted = state.before.take_if(|before| *before.credential == credential);
        let next = Arc::new(credential);
        let last = std::mem::replace(&mut state.newest, next);
        let proven = if state.has_worked { None } else { state.before.take() };
        state.has_worked = reverted.is_some();
        state.before = if reverted.is_some() {
            None
        } else {
            // A credential that never worked is replaced, but the one before it stays.
            let credential = proven.map_or(last, |before| before.credential);
            Some(Before { credential, until: now + KEPT_FOR, refused_at: None })
        };
        true
    }

    /// The credential that [`Rotation::choose`] would take now; uses up no trial.
    pub(in crate::upstream) fn next(&self, now: Instant) -> Arc<C> {
        self.current(now).next(now)
    }

    /// Takes the credential for the next call. A newest one that the provider refused gets one trial per minute.
    pub(in crate::upstream) fn choose(&self, now: Instant) -> Arc<C> {
        let mut state = self.current(now);
        let chosen = state.next(now);
        if Arc::ptr_eq(&chosen, &state.newest) {
            state.note_trial(now);
        }
        chosen
    }

    /// Whether the newest credential was refused and is due for another trial.
    pub(in crate::upstream) fn is_trial_due(&self, now: Instant) -> bool {
        self.current(now).refused_at().is_some_and(|refused_at| is_due(refused_at, now))
    }

    /// Records that the provider accepted this credential; the one before it is dropped.
    pub(in crate::upstream) fn worked(&self, credential: &Arc<C>, now: Instant) {
        let mut state = self.current(now);
        if Arc::ptr_eq(&state.newest, credential) {
            (state.has_worked, state.before) = (true, None);
        }
    }

    /// Records that the provider refused this credential; returns its replacement, if there is one.
    pub(in crate::upstream) fn refused(&self, credential: &Arc<C>, now: Instant) -> Option<Arc<C>> {
        let mut state = self.current(now);
        if !Arc::ptr_eq(&state.newest, credential) {
            return None;
        }
        let before = state.before.as_mut()?;
        before.refused_at = Some(now);
        Some(Arc::clone(&before.credential))
    }

    /// The newest credential, as the replacement of an older one that the provider has just refused. It gets its trial
    /// now, even if it was refused less than a minute ago, because no other credential is left.
    pub(in crate::upstream) fn replacement_of(&self, refused: &Arc<C>, now: Instant) -> Option<Arc<C>> {
        let mut state = self.current(now);
        if Arc::ptr_eq(&state.newest, refused) {
            return None;
        }
        state.note_trial(now);
        Some(Arc::clone(&state.newest))
    }

    /// Whether the newest credential was refused and the one before it is in use.
    pub(in crate::upstream) fn is_rejected(&self, now: Instant) -> bool {
        self.current(now).refused_at().is_some()
    }

    /// The state, without a previous credential that has expired.
    fn current(&self, now: Instant) -> MutexGuard<'_, State<C>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.before.take_if(|before| before.until <= now);
        state
    }
}

impl<C> State<C> {
    /// When the provider last refused the newest credential, while the one before it is in use.
    fn refused_at(&self) -> Option<Instant> {
        self.before.as_ref()?.refused_at
    }

    fn next(&self, now: Instant) -> Arc<C> {
        match &self.before {
            Some(Before { credential, refused_at: Some(refused_at), .. }) if !is_due(*refused_at, now) => {
                Arc::clone(credential)
            }
            _ => Arc::clone(&self.newest),
        }
    }

    /// The newest credential is tried now: the next trial is due a minute later.
    fn note_trial(&mut self, now: Instant) {
        if let Some(Before { refused_at: Some(refused_at), .. }) = &mut self.before {
            *refused_at = now;
        }
    }
}

fn is_due(refused_at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(refused_at) >= TRIED_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn start() -> (Rotation<&'static str>, Instant) {
        let (rotation, now) = (Rotation::new("old"), clock::now().monotonic);
        let old = rotation.choose(now);
        rotation.worked(&old, now);
        (rotation, now)
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_newer_credential_is_used_at_once_and_drops_the_old_one_once_accepted() {
        let (rotation, now) = start();

        assert!(rotation.replace("new", now));
        assert!(!rotation.replace("new", now), "the same again");
        let new = rotation.choose(now);
        rotation.worked(&new, now);

        assert_eq!(*new, "new");
        assert!(rotation.refused(&new, now).is_none(), "the old one is gone");
        assert!(!rotation.is_rejected(now));
    }

    #[test]
    fn a_refused_credential_falls_back_to_the_old_one_and_is_tried_every_minute() {
        let (rotation, now) = start();
        rotation.replace("new", now);

        let new = rotation.choose(now);
        assert_eq!(*rotation.refused(&new, now).unwrap(), "old");

        assert!(rotation.is_rejected(now));
        assert_eq!(*rotation.choose(now + seconds(59)), "old");
        assert!(!rotation.is_trial_due(now + seconds(59)) && rotation.is_trial_due(now + seconds(60)));
        assert_eq!(*rotation.choose(now + seconds(60)), "new");
        assert_eq!(*rotation.choose(now + seconds(61)), "old", "one trial per minute");
        rotation.worked(&new, now + seconds(120));
        assert!(!rotation.is_rejected(now + seconds(120)));
        assert_eq!(*rotation.choose(now + seconds(121)), "new");
    }

    #[test]
    fn a_refused_old_credential_falls_forward_to_the_newest() {
        let (rotation, now) = start();
        let old = rotation.choose(now);
        assert_eq!(rotation.replacement_of(&old, now), None, "it is the newest");

        rotation.replace("new", now);
        let new = rotation.choose(now);
        assert_eq!(rotation.replacement_of(&old, now).as_ref(), Some(&new));
        rotation.refused(&new, now);
        assert_eq!(
            rotation.replacement_of(&old, now + seconds(20)).as_ref(),
            Some(&new),
            "no other credential is left"
        );
        assert!(!rotation.is_trial_due(now + seconds(79)), "it has just been tried");
        rotation.worked(&new, now);
        assert_eq!(rotation.replacement_of(&old, now), Some(new));
    }

    #[test]
    fn looking_at_the_next_credential_uses_up_no_trial() {
        let (rotation, now) = start();
        rotation.replace("new", now);
        let new = rotation.choose(now);
        rotation.refused(&new, now);

        let due = now + seconds(60);
        assert_eq!(*rotation.next(now + seconds(59)), "old");
        assert_eq!((*rotation.next(due), *rotation.next(due)), ("new", "new"));
        assert!(rotation.is_trial_due(due));
        assert_eq!(*rotation.choose(due), "new");
        assert_eq!(*rotation.next(due), "old");
    }

    #[test]
    fn after_a_day_the_old_credential_is_dropped() {
        let (rotation, now) = start();
        rotation.replace("new", now);
        let new = rotation.choose(now);
        rotation.refused(&new, now);

        let day = Duration::from_hours(24);
        assert!(rotation.is_rejected(now + seconds(24 * 3600 - 1)));
        assert!(!rotation.is_rejected(now + day));
        assert_eq!(*rotation.choose(now + day), "new");
        assert!(rotation.refused(&new, now + day).is_none());
    }

    #[test]
    fn the_last_accepted_credential_stays_the_fallback() {
        let (rotation, now) = start();
        for text in ["new", "newer", "newest"] {
            rotation.replace(text, now);
            let credential = rotation.choose(now);
            assert_eq!(*credential, text);
            assert_eq!(*rotation.refused(&credential, now).unwrap(), "old");
        }

        rotation.replace("old", now);

        assert!(!rotation.is_rejected(now), "the old one is the newest again");
        assert!(rotation.refused(&rotation.choose(now), now).is_none());
    }

    #[test]
    fn a_second_rotation_keeps_the_last_accepted_credential() {
        let (rotation, now) = start();
        rotation.replace("new", now);
        rotation.worked(&rotation.choose(now), now);

        rotation.replace("newer", now);

        let newer = rotation.choose(now);
        assert_eq!(*rotation.refused(&newer, now).unwrap(), "new");
    }
}
