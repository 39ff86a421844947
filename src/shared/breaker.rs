//! The breaker of a provider, for what it answered to any replica. What one replica cannot reach, or not in time, counts
//! in its own breaker alone: one broken network must not close a provider for all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::StoreError;
use super::script::Action;
use super::store::{Answered, StoreWait};
use super::tier::{LIFE, Tier, random_name};
use crate::domain::AttemptSignal;
use crate::domain::turn::micros;

/// Retry hint while another replica probes.
const PROBING: Duration = Duration::from_secs(1);

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedBreakerSettings {
    /// Failed attempts in a row.
    pub failures: u32,
    /// How long no attempt leaves.
    pub cooldown: Duration,
    /// How long an attempt may take: a probe without an end expires then.
    pub attempt: Duration,
}

/// The breaker of one provider.
pub struct SharedBreaker {
    tier: Arc<Tier>,
    pub(super) settings: SharedBreakerSettings,
    pub(super) name: String,
    key: String,
    seen: Mutex<Seen>,
}

#[derive(Serialize)]
struct BreakerAsk<'a> {
    event: &'a str,
    failures: u32,
    cooldown: u64,
    attempt: u64,
    probe: &'a str,
    channel: &'a str,
    provider: &'a str,
    life: u64,
}

/// What this replica was told last.
#[derive(Debug, Default)]
struct Seen {
    has_failures: bool,
    /// Open until then, and half-open from then on.
    open_until: Option<Instant>,
}

/// The right to make one attempt. Dropped without an ending, it gives the place of a probe to the next.
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

    /// How long no attempt can leave, as far as this replica was told; `None` where one may.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let until = self.seen().open_until?;
        (self.tier.is_sharing() && now < until).then(|| until - now)
    }

    /// Whether it is open or half-open, as far as this replica was told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tier.is_sharing() && self.seen().open_until.is_some()
    }

    /// Admits one attempt, or says after what time it is worth asking again. Without the store it admits every attempt.
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
        // A read that does without the store leaves without a probe.
        let Some(wait) = wait else { return Ok(admitted(None)) };
        let probe = random_name();
        match self.tell("probe", &probe, wait).await {
            Ok(Told::Granted) => Ok(admitted(Some(probe))),
            Ok(Told::Open(left)) => Err(left),
            Ok(Told::HalfOpen) => Err(PROBING),
            Ok(Told::Closed) | Err(_) => Ok(admitted(None)),
        }
    }

    /// Closes it for every replica: what failed may have had a cause that is gone.
    pub fn reset(self: &Arc<Self>) {
        *self.seen() = Seen::default();
        if self.tier.is_sharing() {
            self.tell_behind("reset", String::new());
        }
    }

    /// Learns how it is, before this replica shares.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        self.tell("look", "", &mut self.tier.store.wait()).await.map(|_| ())
    }

    /// Notes what another replica caused: open for so long, or closed.
    pub(super) fn note_left(&self, left: u64) {
        let left = Duration::from_micros(left).min(self.settings.cooldown);
        let open_until = (!left.is_zero()).then(|| (self.tier.store.clock)().monotonic + left);
        *self.seen() = Seen { has_failures: false, open_until };
    }

    /// Notes that a row of failures has begun.
    pub(super) fn note_failing(&self) {
        self.seen().has_failures = true;
    }

    fn tell_behind(self: &Arc<Self>, what: &'static str, probe: String) {
        let breaker = Arc::clone(self);
        self.tier.behind(async move {
            // The next attempt reports again.
            let _ = breaker.tell(what, &probe, &mut breaker.tier.store.wait()).await;
        });
    }

    async fn tell(&self, what: &str, probe: &str, wait: &mut StoreWait) -> Result<Told, StoreError> {
        let store = &self.tier.store;
        let ask = BreakerAsk {
            event: what,
            failures: self.settings.failures,
            cooldown: micros(self.settings.cooldown),
            attempt: micros(self.settings.attempt),
            probe,
            channel: &self.tier.channel,
            provider: &self.name,
            life: LIFE,
        };
        let answered = store.run(Action::Breaker, &[&self.key], &ask, wait).await?;
        let Answered { answer, received, .. } = &answered;
        let told = match answer.kind() {
            "granted" => return Ok(Told::Granted),
            "open" => Told::Open(Duration::from_micros(answer.number(0)?).min(self.settings.cooldown)),
            "half-open" => Told::HalfOpen,
            _ => Told::Closed,
        };
        let has_failures = matches!(told, Told::Closed) && answer.number(0)? > 0;
        let open_until = match told {
            Told::Open(left) => Some(*received + left),
            Told::HalfOpen => Some(*received),
            Told::Granted | Told::Closed => None,
        };
        *self.seen() = Seen { has_failures, open_until };
        Ok(told)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the store says.
#[derive(Clone, Copy, Debug)]
enum Told {
    Granted,
    Open(Duration),
    HalfOpen,
    Closed,
}

impl SharedAdmission {
    /// Reports in the background how the attempt ended, if that changes anything.
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
            self.breaker.tell_behind(what, probe.unwrap_or_default());
        }
    }
}

impl Drop for SharedAdmission {
    fn drop(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.breaker.tell_behind("unknown", probe);
        }
    }
}

impl std::fmt::Debug for SharedBreaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBreaker").field("key", &self.key).finish_non_exhaustive()
    }
}
