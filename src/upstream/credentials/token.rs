//! The token of one account. One request mints it, even if many reads wait, and it is renewed before it expires. This file
//! decides when; `Upstream` makes the calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::credential::Issued;
use crate::domain::Moment;
use crate::providers::Authorisation;

/// Shortest time between two renewals that a 401 causes.
const REFUSED_RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// A token with a shorter life than this is renewed after half of its life.
const SHORT_LIFE: Duration = Duration::from_mins(1);
/// A token with a longer life is renewed at least this long before it expires.
const MARGIN: Duration = Duration::from_secs(30);
/// The shortest time between two renewals.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Some providers accept a new token only after a moment. For this long, a refusal proves nothing about the
/// credentials.
const SETTLING: Duration = Duration::from_secs(10);
/// Time until a refused new token is tried again, while the previous token is still valid.
const NEXT_TRIAL: Duration = Duration::from_secs(1);

/// A live token.
#[derive(Debug)]
pub(in crate::upstream) struct Token {
    authorisation: Authorisation,
    pub(in crate::upstream) renew_at: Instant,
    pub(in crate::upstream) expires_at: Moment,
    minted_at: Instant,
    /// Whether a balance call with it has succeeded.
    was_accepted: AtomicBool,
    was_used: AtomicBool,
    first_use: Notify,
}

impl Token {
    fn new(issued: Issued, asked_at: Moment) -> Self {
        Self {
            authorisation: issued.authorisation,
            renew_at: asked_at.monotonic + renewal_after(issued.life),
            expires_at: asked_at.later_by(issued.life),
            minted_at: asked_at.monotonic,
            was_accepted: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            first_use: Notify::new(),
        }
    }

    pub(in crate::upstream) fn authorisation(&self) -> Authorisation {
        self.authorisation.clone()
    }

    pub(in crate::upstream) fn is_live(&self, now: Instant) -> bool {
        now < self.expires_at.monotonic
    }

    /// Whether the provider has accepted it.
    pub(in crate::upstream) fn was_accepted(&self) -> bool {
        self.was_accepted.load(Ordering::Acquire)
    }

    /// Waits until a read uses it.
    pub(in crate::upstream) async fn used(&self) {
        if !self.was_used.load(Ordering::Acquire) {
            self.first_use.notified().await;
        }
    }

    fn note_use(&self) {
        if !self.was_used.swap(true, Ordering::AcqRel) {
            self.first_use.notify_one();
        }
    }
}

/// min(80 % of the life, life − 30 s); half of a short life.
fn renewal_after(life: Duration) -> Duration {
    let after = if life < SHORT_LIFE { life / 2 } else { (life * 4 / 5).min(life.saturating_sub(MARGIN)) };
    after.max(SHORTEST_INTERVAL)
}

/// The token of one account, if it has one, and the lock to request the next.
#[derive(Debug)]
pub(in crate::upstream) struct Tokens<U> {
    state: Mutex<State>,
    /// Locked while a token is requested; other reads wait here and then find it.
    pub(in crate::upstream) minting: tokio::sync::Mutex<()>,
    refused_renewal: Mutex<Option<Instant>>,
    /// The upstream that renews tokens ahead of time: the one of the last configuration.
    renewer: Mutex<Weak<U>>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Token>>,
    /// The previous token, which the provider accepted; kept until the current one is accepted, too.
    before: Option<Arc<Token>>,
    /// When the current token is tried again, after the provider refused it.
    next_trial: Option<Instant>,
    /// Since when every new token was refused.
    refused_since: Option<Instant>,
}

impl State {
    /// The live token. While the current one was just refused, that is the previous one.
    fn live(&self, now: Instant) -> Option<&Arc<Token>> {
        let is_live = |token: &&Arc<Token>| token.is_live(now);
        let before = self.before.as_ref().filter(is_live);
        let is_refused = self.next_trial.is_some_and(|next_trial| now < next_trial);
        before.filter(|_| is_refused).or_else(|| self.current.as_ref().filter(is_live))
    }
}

impl<U> Default for Tokens<U> {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            minting: tokio::sync::Mutex::default(),
            refused_renewal: Mutex::default(),
            renewer: Mutex::default(),
        }
    }
}

impl<U> Tokens<U> {
    /// The live token.
    pub(in crate::upstream) fn live(&self, now: Instant) -> Option<Arc<Token>> {
        self.state().live(now).cloned()
    }

    /// Records that the provider accepted this token.
    pub(in crate::upstream) fn accepted(&self, token: &Arc<Token>) {
        if token.was_accepted.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.state();
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            (state.before, state.next_trial) = (None, None);
        }
        state.refused_since = None;
    }

    /// Records that the provider refused this token. Returns true while this proves nothing about the credentials. The
    /// token must be new and never accepted; in addition, the previous token is still valid, or the provider has
    /// refused every new token for less than [`SETTLING`].
    pub(in crate::upstream) fn is_settling(&self, token: &Arc<Token>, now: Instant) -> bool {
        if token.was_accepted() {
            return false;
        }
        let mut state = self.state();
        let since = *state.refused_since.get_or_insert(now);
        let is_new = now.saturating_duration_since(token.minted_at) < SETTLING;
        let has_live = state.before.as_ref().is_some_and(|before| before.is_live(now));
        is_new && (has_live || now.saturating_duration_since(since) < SETTLING)
    }

    /// The replacement of a refused new token: the previous token, while it is valid.
    pub(in crate::upstream) fn before(&self, refused: &Arc<Token>, now: Instant) -> Option<Arc<Token>> {
        let mut state = self.state();
        let before = state.before.clone().filter(|before| before.is_live(now))?;
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, refused)) {
            state.next_trial = Some(now + NEXT_TRIAL);
        }
        Some(before)
    }

    /// The live token, noted as used.
    pub(in crate::upstream) fn use_live(&self, now: Instant) -> Option<Arc<Token>> {
        let token = self.live(now)?;
        token.note_use();
        Some(token)
    }

    /// Whether this token is still the current one.
    pub(in crate::upstream) fn is_current(&self, token: &Arc<Token>) -> bool {
        self.state().current.as_ref().is_some_and(|current| Arc::ptr_eq(current, token))
    }

    /// Takes a new token into use.
    pub(in crate::upstream) fn store(&self, issued: Issued, asked_at: Moment) -> Arc<Token> {
        let token = Arc::new(Token::new(issued, asked_at));
        let mut state = self.state();
        let last = state.current.replace(Arc::clone(&token));
        // A token that was never accepted is replaced, but the previous token stays.
        state.before = last.filter(|last| last.was_accepted()).or_else(|| state.before.take());
        state.next_trial = None;
        token
    }

    /// Drops a refused token; a newer one stays.
    pub(in crate::upstream) fn drop_refused(&self, refused: &Arc<Token>) {
        let mut state = self.state();
        let is_refused = |token: &mut Arc<Token>| Arc::ptr_eq(token, refused);
        state.current.take_if(is_refused);
        state.before.take_if(is_refused);
    }

    /// Lets this upstream renew tokens from now on.
    pub(in crate::upstream) fn renew_by(&self, renewer: &Arc<U>) {
        *self.renewer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(renewer);
    }

    /// The upstream that renews tokens; `None` once the account is gone.
    pub(in crate::upstream) fn renewer(&self) -> Option<Arc<U>> {
        self.renewer.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Whether any upstream renews tokens.
    pub(in crate::upstream) fn has_renewer(&self) -> bool {
        self.renewer.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
    }

    /// Permits a renewal caused by a 401, or returns the time until the next is permitted.
    pub(in crate::upstream) fn take_refused_renewal(&self, now: Instant) -> Result<(), Duration> {
        let mut last = self.refused_renewal.lock().unwrap_or_else(PoisonError::into_inner);
        let next = last.map(|last| last + REFUSED_RENEWAL_INTERVAL);
        if let Some(next) = next
            && now < next
        {
            return Err(next - now);
        }
        *last = Some(now);
        Ok(())
    }

    /// When the token expires, by the wall clock.
    pub(in crate::upstream) fn expiry(&self) -> Option<Timestamp> {
        self.state().current.as_ref().map(|token| token.expires_at.wall)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn issued(seconds: u64) -> Issued {
        Issued { authorisation: Authorisation::Bearer("t".into()), life: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_token_is_renewed_in_time() {
        for (life, renewed_after) in
            [(1800, 1440), (3600, 2880), (600, 480), (100, 70), (60, 30), (59, 29), (1, 1)]
        {
            let after = renewal_after(Duration::from_secs(life));
            assert_eq!(after.as_secs(), renewed_after, "{life}");
        }
    }

    #[test]
    fn an_expired_token_is_not_used() {
        let (tokens, now) = (Tokens::<()>::default(), clock::now());
        tokens.store(issued(600), now);

        assert!(tokens.use_live(now.later_by(Duration::from_secs(599)).monotonic).is_some());
        assert!(tokens.use_live(now.later_by(Duration::from_mins(10)).monotonic).is_none());
    }

    #[test]
    fn a_401_drops_only_the_token_it_was_sent_with() {
        let (tokens, now) = (Tokens::<()>::default(), clock::now());
        let old = tokens.store(issued(600), now);
        let new = tokens.store(issued(600), now);

        tokens.drop_refused(&old);
        assert!(tokens.is_current(&new));

        tokens.drop_refused(&new);
        assert!(tokens.use_live(now.monotonic).is_none());
    }

    #[test]
    fn renewals_caused_by_a_401_are_ten_seconds_apart() {
        let (tokens, now) = (Tokens::<()>::default(), clock::now().monotonic);
        let second = Duration::from_secs(1);

        assert_eq!(tokens.take_refused_renewal(now), Ok(()));
        assert_eq!(tokens.take_refused_renewal(now + second * 4), Err(second * 6));
        assert_eq!(tokens.take_refused_renewal(now + second * 10), Ok(()));
    }

    #[test]
    fn a_refused_new_token_falls_back_to_the_previous_one() {
        let (tokens, now) = (Tokens::<()>::default(), clock::now());
        let later = |milliseconds| (now.later_by(Duration::from_millis(milliseconds))).monotonic;
        let old = tokens.store(issued(60), now);
        tokens.accepted(&old);
        let new = tokens.store(issued(60), now);

        assert!(tokens.is_settling(&new, later(0)));
        assert!(Arc::ptr_eq(&tokens.before(&new, later(0)).unwrap(), &old));

        assert!(Arc::ptr_eq(&tokens.live(later(999)).unwrap(), &old));
        assert!(Arc::ptr_eq(&tokens.live(later(1000)).unwrap(), &new), "it is tried again");
        assert!(!tokens.is_settling(&new, later(10_000)), "it is old enough to be refused");
        tokens.accepted(&new);
        assert!(tokens.before(&new, later(1000)).is_none());
    }

    #[test]
    fn new_tokens_that_are_refused_for_ten_seconds_mean_refused_credentials() {
        let (tokens, now) = (Tokens::<()>::default(), clock::now());
        let first = tokens.store(issued(60), now);
        assert!(tokens.is_settling(&first, now.monotonic));

        let later = now.later_by(SETTLING);
        let second = tokens.store(issued(60), later);

        assert!(!tokens.is_settling(&second, later.monotonic));
        tokens.accepted(&second);
        let third = tokens.store(issued(60), later);
        assert!(tokens.is_settling(&third, later.monotonic), "the second was accepted");
    }
}
