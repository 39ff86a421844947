//! The breaker of a provider that all replicas share. It counts only what the provider answered. Connect failures and
//! time-outs count only in the replica's own breaker, so that one broken network does not suspend a provider for all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::StoreError;
use super::script::Action;
use super::store::{Answered, StoreWait};
use super::tier::{Tier, life_of, random_name};
use crate::domain::AttemptSignal;
use crate::domain::turn::micros;

/// Retry hint while another replica probes.
const PROBING: Duration = Duration::from_secs(1);

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedBreakerSettings {
    /// Failed attempts in a row.
    pub failures: u32,
    /// The time without attempts after it opened.
    pub cooldown: Duration,
    /// The longest attempt. A probe that never ends expires after this time.
    pub attempt: Duration,
}

/// The breaker of one provider.
pub struct SharedBreaker {
    tier: Arc<Tier>,
    pub(super) settings: SharedBreakerSettings,
    pub(super) name: String,
    key: String,
    seen: Mutex<LastSeen>,
}

#[derive(Serialize)]
struct BreakerArguments<'a> {
    event: &'a str,
    failures: u32,
    cooldown: u64,
    attempt: u64,
    probe: &'a str,
    channel: &'a str,
    provider: &'a str,
    life: u64,
}

/// The last known state, from an answer of the store or from a message.
#[derive(Debug, Default)]
struct LastSeen {
    has_failures: bool,
    /// Open until this instant, then half-open.
    open_until: Option<Instant>,
    /// When a message last changed it. An answer to an earlier question may be older than the message.
    told_at: Option<Instant>,
}

/// The right to make one attempt. If it is dropped without a signal, another attempt may be the probe.
pub struct SharedAdmission {
    breaker: Arc<SharedBreaker>,
    probe: Option<String>,
}

impl SharedBreaker {
    pub(super) fn new(tier: &Arc<Tier>, provider: &str, settings: SharedBreakerSettings) -> Self {
        let name = tier.keyring.name("provider", &[provider.as_bytes()]);
        let key = tier.key(&name, "breaker");
        Self { tier: Arc::clone(tier), settings, name, key, seen: Mutex::default() }
    }

    /// The time until an attempt is allowed, by the last known state; `None` if one is allowed now.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let until = self.seen().open_until?;
        (self.tier.is_sharing() && now < until).then(|| until - now)
    }

    /// Whether it is open or half-open, by the last known state.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tier.is_sharing() && self.seen().open_until.is_some()
    }

    /// Admits one attempt, or returns the time until the next may be admitted. Without the store it admits every
    /// attempt.
    ///
    /// # Errors
    /// The time to wait.
    pub async fn admit(self: &Arc<Self>, wait: Option<&mut StoreWait>) -> Result<SharedAdmission, Duration> {
        let admitted = |probe| SharedAdmission { breaker: Arc::clone(self), probe };
        if !self.is_open() {
            return Ok(admitted(None));
        }
        if let Some(left) = self.wait((self.tier.store.clock)().monotonic) {
            return Err(left);
        }
        // A read without the store is never a probe.
        let Some(wait) = wait else { return Ok(admitted(None)) };
        let probe = random_name();
        match self.run_event("probe", &probe, wait).await {
            Ok(BreakerAnswer::Granted) => Ok(admitted(Some(probe))),
            Ok(BreakerAnswer::Open(left)) => Err(left),
            Ok(BreakerAnswer::HalfOpen) => Err(PROBING),
            Ok(BreakerAnswer::Closed) | Err(_) => Ok(admitted(None)),
        }
    }

    /// Closes the breaker for every replica, because the cause of the failures may be gone.
    pub fn reset(self: &Arc<Self>) {
        *self.seen() = LastSeen::default();
        if self.tier.is_sharing() {
            self.run_event_in_background("reset", String::new());
        }
    }

    /// Reads its state from the store before this replica shares.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        self.run_event("look", "", &mut self.tier.store.wait()).await.map(|_| ())
    }

    /// Records a state that another replica caused: open for this time, or closed.
    pub(super) fn note_left(&self, left: u64) {
        let left = Duration::from_micros(left).min(self.settings.cooldown);
        let now = (self.tier.store.clock)().monotonic;
        let open_until = (!left.is_zero()).then(|| now + left);
        *self.seen() = LastSeen { has_failures: false, open_until, told_at: Some(now) };
    }

    /// Records that the store counts failures in a row, so that the next balance resets the count.
    pub(super) fn note_failing(&self) {
        let told_at = Some((self.tier.store.clock)().monotonic);
        let mut seen = self.seen();
        (seen.has_failures, seen.told_at) = (true, told_at);
    }

    /// Records the state from an answer to a question that was sent at this moment.
    fn note_answer(&self, sent: Instant, has_failures: bool, open_until: Option<Instant>) {
        let mut seen = self.seen();
        if seen.told_at.is_none_or(|told_at| told_at < sent) {
            (seen.has_failures, seen.open_until) = (has_failures, open_until);
        }
    }

    fn run_event_in_background(self: &Arc<Self>, what: &'static str, probe: String) {
        let breaker = Arc::clone(self);
        self.tier.in_background(async move {
            // The next attempt reports again.
            let _ = breaker.run_event(what, &probe, &mut breaker.tier.store.wait()).await;
        });
    }

    async fn run_event(
        &self,
        what: &str,
        probe: &str,
        wait: &mut StoreWait,
    ) -> Result<BreakerAnswer, StoreError> {
        let store = &self.tier.store;
        let arguments = BreakerArguments {
            event: what,
            failures: self.settings.failures,
            cooldown: micros(self.settings.cooldown),
            attempt: micros(self.settings.attempt),
            probe,
            channel: &self.tier.channel,
            provider: &self.name,
            life: life_of(self.settings.cooldown),
        };
        let answered = store.run(Action::Breaker, &[&self.key], &arguments, wait).await?;
        let Answered { answer, sent, received } = &answered;
        let breaker_answer = match answer.kind() {
            "granted" => return Ok(BreakerAnswer::Granted),
            "open" => {
                BreakerAnswer::Open(Duration::from_micros(answer.number(0)?).min(self.settings.cooldown))
            }
            "half-open" => BreakerAnswer::HalfOpen,
            _ => BreakerAnswer::Closed,
        };
        let has_failures = matches!(breaker_answer, BreakerAnswer::Closed) && answer.number(0)? > 0;
        let open_until = match breaker_answer {
            BreakerAnswer::Open(left) => Some(*received + left),
            BreakerAnswer::HalfOpen => Some(*received),
            BreakerAnswer::Granted | BreakerAnswer::Closed => None,
        };
        self.note_answer(sent.monotonic, has_failures, open_until);
        Ok(breaker_answer)
    }

    fn seen(&self) -> MutexGuard<'_, LastSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store's answer.
#[derive(Clone, Copy, Debug)]
enum BreakerAnswer {
    Granted,
    Open(Duration),
    HalfOpen,
    Closed,
}

impl SharedAdmission {
    /// Reports the end of the attempt in the background, if it changes the breaker.
    pub fn settle(mut self, signal: AttemptSignal) {
        let probe = self.probe.take();
        let what = match signal {
            AttemptSignal::Failed => "failed",
            AttemptSignal::Balance if probe.is_some() || self.breaker.seen().has_failures => "balance",
            AttemptSignal::Answered if probe.is_some() => "answered",
            AttemptSignal::Unknown if probe.is_some() => "unknown",
            AttemptSignal::Answered | AttemptSignal::Balance | AttemptSignal::Unknown => return,
        };
        if self.breaker.tier.is_sharing() {
            self.breaker.run_event_in_background(what, probe.unwrap_or_default());
        }
    }
}

impl Drop for SharedAdmission {
    fn drop(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.breaker.run_event_in_background("unknown", probe);
        }
    }
}

impl std::fmt::Debug for SharedBreaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBreaker").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::metrics::Metrics;
    use crate::shared::SharedSettings;

    #[test]
    fn an_answer_to_an_earlier_question_does_not_replace_a_message() {
        let settings = SharedSettings::unreachable(3);
        let tier =
            Tier::new(settings, clock::now, Metrics::new("0", "0").unwrap().shared().unwrap()).unwrap();
        let second = Duration::from_secs(1);
        let settings = SharedBreakerSettings { failures: 3, cooldown: 10 * second, attempt: second };
        let breaker = SharedBreaker::new(&Arc::new(tier), "p", settings);
        let sent = clock::now().monotonic;
        breaker.note_left(micros(10 * second));

        breaker.note_answer(sent, true, None);
        assert!(breaker.seen().open_until.is_some());

        breaker.note_answer(clock::now().monotonic + second, true, None);
        assert_eq!(breaker.seen().open_until, None);
    }
}
